/* SPDX-License-Identifier: BSD-2-Clause */
/* See console.h. */
#include "console.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "encode.h"
#include "record.h"

static const char *path;
static int file = -1;
static off_t seen;		/* bytes of the file */
static char line[CONSOLE_LINE_MAX];
static size_t length;		/* of the line, as far as it has come */
/* Ends of parts: bytes of the file; of those, where the line begins that was not whole then. */
static struct {
	off_t at, line;
} marks[CONSOLE_ALL];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const char *const *until;
static size_t until_count;

void
console_init(const char *given, const char *const *texts, size_t count)
{
	path = given;
	until = texts;
	until_count = count;
}

/* Which text that ends the recording the line shows, whole or not; NULL none. */
static const char *
shown(void)
{
	for (size_t i = 0; i < until_count; i++)
		if (memmem(line, length, until[i], strlen(until[i])) != NULL)
			return until[i];
	return NULL;
}

/* Ends the recording where the line shows what it is to end with. */
static void
judge(unsigned int vcpu)
{
	const char *text = shown();

	if (text == NULL)
		return;
	record_console(vcpu, line, length);
	record_end(text);
	length = 0;
}

/* More to read? QEMU makes the file when it makes the serial port. */
static bool
has_grown(void)
{
	struct stat now;

	if (file < 0)
		file = open(path, O_RDONLY | O_CLOEXEC);
	return file >= 0 && fstat(file, &now) == 0 && now.st_size > seen;
}

/* The next byte's work: returns whether `line` is whole. Carriage returns belong to a line's end. */
static bool
add(char byte)
{
	if (byte == '\n') {
		while (length > 0 && line[length - 1] == '\r')
			length--;
		return true;
	}
	line[length++] = byte;
	return length == sizeof(line);
}

/* All that there is; each line is given to the encoder or, where there is none, recorded. */
static void
read_on(struct encoder *encoder, unsigned int vcpu, uint64_t t)
{
	char bytes[1024];
	ssize_t got;

	while ((got = pread(file, bytes, sizeof(bytes), seen)) > 0) {
		seen += got;
		for (ssize_t i = 0; i < got; i++) {
			if (!add(bytes[i]))
				continue;
			if (encoder != NULL)
				encoder_console(encoder, vcpu, t, line, length);
			else if (shown() != NULL)
				judge(vcpu);
			else
				record_console(vcpu, line, length);
			length = 0;
		}
	}
}

void
console_look(unsigned int vcpu, void *userdata)
{
	(void)userdata;
	pthread_mutex_lock(&lock);
	if (has_grown()) {
		read_on(NULL, vcpu, 0);
		judge(vcpu);
	}
	pthread_mutex_unlock(&lock);
}

void
console_mark(enum console_part part)
{
	pthread_mutex_lock(&lock);
	marks[part].at = seen;
	marks[part].line = seen - (off_t)length;
	pthread_mutex_unlock(&lock);
}

/* The line that was not whole at the mark, as it was then. */
static void
go_back(enum console_part part)
{
	size_t size = (size_t)(marks[part].at - marks[part].line);
	ssize_t got = size > 0 ? pread(file, line, size, marks[part].line) : 0;

	length = got > 0 ? (size_t)got : 0;
}

void
console_finish(enum console_part part, struct encoder *encoder, unsigned int vcpu, uint64_t t)
{
	if (path == NULL)
		return;
	pthread_mutex_lock(&lock);
	if (part != CONSOLE_ALL)
		go_back(part);
	else if (has_grown())
		read_on(encoder, vcpu, t);
	if (length > 0)
		encoder_console(encoder, vcpu, t, line, length);
	length = 0;
	pthread_mutex_unlock(&lock);
}
