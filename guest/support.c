/*
 * support.c: the few string functions in use. The compiler may call the mem functions on its own account.
 */
#include "systm.h"

void *
memcpy(void *to, const void *from, size_t size)
{
	void *start = to;

	__asm__ __volatile__("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
	return (start);
}

void *
memset(void *to, int value, size_t size)
{
	void *start = to;

	__asm__ __volatile__("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
	return (start);
}

void *
memmove(void *to, const void *from, size_t size)
{
	char *d = to;
	const char *s = from;

	if (d <= s || d >= s + size)
		return (memcpy(to, from, size));
	while (size-- > 0) {
		d[size] = s[size];
		barrier();
	}
	return (to);
}

int
memcmp(const void *a, const void *b, size_t size)
{
	const u_char *x = a, *y = b;

	for (; size > 0; size--, x++, y++)
		if (*x != *y)
			return (*x - *y);
	return (0);
}

size_t
strlen(const char *string)
{
	size_t length = 0;

	while (string[length] != '\0') {
		barrier();
		length++;
	}
	return (length);
}

int
strcmp(const char *a, const char *b)
{
	return (strncmp(a, b, SIZE_MAX));
}

int
strncmp(const char *a, const char *b, size_t size)
{
	for (; size > 0; size--, a++, b++) {
		if (*a != *b)
			return ((u_char)*a - (u_char)*b);
		if (*a == '\0')
			break;
	}
	return (0);
}
