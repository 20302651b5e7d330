/*
 * subr_prf.c: printf for the console and for a buffer, from one formatter.
 */
#include "cons.h"
#include "systm.h"

struct sink {
	char	*buffer;	/* NULL: the console */
	size_t	size;
	size_t	length;		/* characters produced, whether or not they fitted */
};

static void
emit(struct sink *sink, int c)
{
	if (sink->buffer == NULL)
		cnputc(c);
	else if (sink->length + 1 < sink->size)
		sink->buffer[sink->length] = (char)c;
	sink->length++;
}

static void
emit_padded(struct sink *sink, const char *text, size_t length, int width, bool left, char pad)
{
	int fill = width - (int)length;

	for (; !left && fill > 0; fill--)
		emit(sink, pad);
	for (size_t i = 0; i < length; i++)
		emit(sink, text[i]);
	for (; left && fill > 0; fill--)
		emit(sink, ' ');
}

static void
emit_number(struct sink *sink, uint64_t value, bool negative, u_int base, bool upper, int width, bool left, bool zero)
{
	char digits[24];
	size_t at = sizeof(digits);

	do {
		u_int digit = (u_int)(value % base);

		digits[--at] = (char)(digit < 10 ? '0' + digit : (upper ? 'A' : 'a') + digit - 10);
		value /= base;
	} while (value != 0);
	if (negative && zero) {
		emit(sink, '-');
		width--;
	} else if (negative)
		digits[--at] = '-';
	emit_padded(sink, digits + at, sizeof(digits) - at, width, left, zero && !left ? '0' : ' ');
}

static int
format_to(struct sink *sink, const char *format, va_list ap)
{
	for (; *format != '\0'; format++) {
		bool left = false, zero = false, is_long = false;
		int width = 0;
		uint64_t value;
		int64_t number;
		const char *text;
		char one;

		if (*format != '%') {
			emit(sink, *format);
			continue;
		}
		for (format++; *format == '-' || *format == '0'; format++) {
			left |= *format == '-';
			zero |= *format == '0';
		}
		for (; *format >= '0' && *format <= '9'; format++)
			width = width * 10 + *format - '0';
		for (; *format == 'l' || *format == 'j' || *format == 'z'; format++)
			is_long = true;
		switch (*format) {
		case 'd':
			number = is_long ? va_arg(ap, int64_t) : va_arg(ap, int);
			value = number < 0 ? -(uint64_t)number : (uint64_t)number;
			emit_number(sink, value, number < 0, 10, false, width, left, zero);
			break;
		case 'u':
		case 'x':
		case 'X':
			value = is_long ? va_arg(ap, uint64_t) : va_arg(ap, u_int);
			emit_number(sink, value, false, *format == 'u' ? 10 : 16, *format == 'X', width, left, zero);
			break;
		case 'p':
			emit(sink, '0');
			emit(sink, 'x');
			emit_number(sink, (uintptr_t)va_arg(ap, void *), false, 16, false, width, left, zero);
			break;
		case 's':
			text = va_arg(ap, const char *);
			text = text != NULL ? text : "(null)";
			emit_padded(sink, text, strlen(text), width, left, ' ');
			break;
		case 'c':
			one = (char)va_arg(ap, int);
			emit_padded(sink, &one, 1, width, left, ' ');
			break;
		case '\0':
			return ((int)sink->length);
		default:
			emit(sink, *format);
		}
	}
	return ((int)sink->length);
}

int
vprintf(const char *format, va_list ap)
{
	struct sink sink = { NULL, 0, 0 };

	return (format_to(&sink, format, ap));
}

int
printf(const char *format, ...)
{
	va_list ap;
	int length;

	va_start(ap, format);
	length = vprintf(format, ap);
	va_end(ap);
	return (length);
}

int
vsnprintf(char *buffer, size_t size, const char *format, va_list ap)
{
	struct sink sink = { buffer, size, 0 };
	int length = format_to(&sink, format, ap);

	if (size > 0)
		buffer[sink.length < size ? sink.length : size - 1] = '\0';
	return (length);
}

int
snprintf(char *buffer, size_t size, const char *format, ...)
{
	va_list ap;
	int length;

	va_start(ap, format);
	length = vsnprintf(buffer, size, format, ap);
	va_end(ap);
	return (length);
}
