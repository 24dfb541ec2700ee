// Builds strings.
//
// Nothing is freed: the host creates an instance for each request and drops it together with
// its memory.

#pragma once

#include <stdint.h>

#include "demo.h"

// Returns a C string as a string of the WIT, without a copy.
demo_string_t text(const char *constant);

// Returns whether two strings are equal.
bool text_equals(demo_string_t text, const char *constant);

// Returns whether a string is ASCII. A string that is not UTF-8 must not be passed to the
// session manager, since the instance would trap.
bool text_is_ascii(demo_string_t text);

// Returns a number in decimal digits.
demo_string_t text_of_number(int64_t number);

// Returns a text with its first occurrence of `name` replaced by `value`. `name` is a
// placeholder with its braces, such as `{title}`.
demo_string_t text_fill(demo_string_t text, const char *name, demo_string_t value);
