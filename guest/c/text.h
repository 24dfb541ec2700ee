// Text that is built piece by piece.
//
// The host gives every request an instance of its own and drops it with all of
// its memory, so nothing here is ever freed.

#pragma once

#include <stdint.h>

#include "demo.h"

// A constant as the contract's functions take it.
demo_string_t text(const char *constant);

bool text_equals(demo_string_t text, const char *constant);

// Whether it may be a string of the contract's, which are UTF-8; others trap.
bool text_is_ascii(demo_string_t text);

// The decimal digits.
demo_string_t text_of_number(int64_t number);

// The text with `value` in place of the first `{name}`, braces included in
// `name`.
demo_string_t text_fill(demo_string_t text, const char *name, demo_string_t value);
