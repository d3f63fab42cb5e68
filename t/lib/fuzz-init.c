/*
 * Test program: gives damaged /.pve.env files to the parser of /.pve.init, and damaged programs to what explains
 * failures, under AddressSanitizer and UndefinedBehaviorSanitizer. Arguments: seconds, seed, and a file to write to.
 * Prints how many files were tried and how many of them were accepted.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#undef O_NOFOLLOW
#include "init-explain.h"
#include "init-file.h"

enum { LARGEST = 8192 };

static jmp_buf failed;
static struct start_file file;
static struct environment environment;
static uint64_t state;

__attribute__((noreturn, sentinel)) void fail(int code, const char *text, ...);

void fail(int code, const char *text, ...)
{
	(void)text;
	longjmp(failed, code);
}

static uint32_t next(uint32_t below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33) % below;
}

static void expect(int condition, const char *what)
{
	if (!condition) {
		fprintf(stderr, "wrong: %s\n", what);
		abort();
	}
}

/* A file with a likely header: right, or with numbers that do not fit. */
static size_t make_file(char *bytes)
{
	static const char *const numbers[] = {"0", "1", "2", "7", "64", "65", "262144", "262145", "2147483648",
					      "4294967294", "4294967295", "4294967296", "99999999999999999999", "-1", ""};
	static const char *const records[] = {"A=1", "B=", "=x", "C", "PATH=/bin", "A=2", "/bin/sh", "", "x=y=z"};
	uint32_t variables = next(6), arguments = next(4), count = 0;
	size_t size = (size_t)sprintf(bytes, "pve.env 2 %u %u %u", next(3), variables, arguments);
	for (count = next(4) == 0 ? next(70) : 2 + next(3); count > 0; count--)
		size += (size_t)sprintf(bytes + size, " %s", next(12) ? "5" : numbers[next(15)]);
	size++;
	for (count = 1 + variables + arguments + (next(5) ? 0 : next(3)); count > 0; count--)
		size += (size_t)sprintf(bytes + size, "%s", records[next(9)]) + 1;
	return size;
}

static size_t make_program(char *bytes)
{
	static const char *const scripts[] = {"#!/bin/sh\n", "#!", "#! \t", "#!/none\r\n", "#!\n", "\x7f" "ELF", "x"};
	size_t size = next(2) ? 64 + next(2000) : next(100);
	for (size_t i = 0; i < size; i++)
		bytes[i] = next(3) ? 0 : (char)next(256);
	if (next(2)) {
		static const unsigned char header[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
		memcpy(bytes, header, size < sizeof(header) ? size : sizeof(header));
		if (size > 64) {
			memset(bytes + 32, 0, 8);
			bytes[32] = (char)next(200);
			bytes[33] = next(3) ? 0 : (char)next(256);
			bytes[54] = 56;
			bytes[56] = (char)next(5);
		}
	} else if (size > 12) {
		strcpy(bytes, scripts[next(7)]);
	}
	return size;
}

static size_t damage(char *bytes, size_t size)
{
	for (uint32_t count = next(2) * next(4); count > 0 && size > 0; count--)
		switch (next(4)) {
		case 0:
			bytes[next((uint32_t)size)] = (char)next(256);
			break;
		case 1:
			bytes[next((uint32_t)size)] = 0;
			break;
		case 2:
			size = next((uint32_t)size);
			break;
		default:
			if (size < LARGEST / 2)
				bytes[size++] = (char)next(2);
		}
	return size;
}

static int is_inside(const char *text, const char *bytes, size_t size)
{
	return text >= bytes && text < bytes + size && memchr(text, 0, (size_t)(bytes + size - text));
}

/* Returns whether it was accepted. The buffer is as large as the file, so that reading on is found out. */
static int try_file(const char *source, size_t size)
{
	char *bytes = malloc(size ? size : 1);
	char *variable = NULL;
	memcpy(bytes, source, size);
	if (setjmp(failed) != 0) {
		free(bytes);
		return 0;
	}
	parse_file(&file, bytes, size);
	expect(is_inside(file.directory, bytes, size), "directory");
	for (unsigned i = 0; i < file.argument_count; i++)
		expect(is_inside(file.arguments[i], bytes, size), "argument");
	expect(file.arguments[file.argument_count] == NULL, "end of the arguments");
	expect(file.group_count <= MAX_GROUPS, "groups");
	memset(&environment, 0, sizeof(environment));
	variable = file.variables;
	for (unsigned i = 0; i < file.variable_count; i++, variable += strlen(variable) + 1) {
		char name[LARGEST];
		expect(is_inside(variable, bytes, size) && strchr(variable, '=') > variable, "variable");
		expect(add_variable(&environment, variable), "room");
		memcpy(name, variable, strlen(variable) + 1);
		*strchr(name, '=') = 0;
		expect(get_variable(&environment, name) != NULL, "value");
	}
	expect(environment.count <= file.variable_count && !environment.list[environment.count], "environment");
	free(bytes);
	return 1;
}

static void try_program(const char *path, const char *bytes, size_t size)
{
	static const long errors[] = {-2, -7, -8, -13, -20, -40};
	char variable[] = "A=b", *variables[] = {variable, NULL}, *arguments[] = {variable, NULL};
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700);
	expect(fd >= 0 && write(fd, bytes, size) == (ssize_t)size, "write");
	close(fd);
	if (setjmp(failed) == 0)
		explain_failure("command", path, errors[next(6)], arguments, variables);
}

int main(int argc, char **argv)
{
	static char bytes[LARGEST];
	unsigned long tried = 0, accepted = 0;
	if (argc != 4)
		return 2;
	time_t end = time(NULL) + atoi(argv[1]);
	state = (uint64_t)atoll(argv[2]);
	for (; tried % 256 || time(NULL) < end; tried++) {
		size_t size = damage(bytes, make_file(bytes));
		accepted += (unsigned long)try_file(bytes, size);
		if (tried % 32 == 0)
			try_program(argv[3], bytes, damage(bytes, make_program(bytes)));
	}
	printf("%lu tried, %lu accepted\n", tried, accepted);
	return 0;
}
