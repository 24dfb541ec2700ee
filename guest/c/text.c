#include "text.h"

#include <stdlib.h>
#include <string.h>

// Allocates memory. If there is none left, the instance traps, and the host sends a response
// with a server error.
static uint8_t *allocate(size_t size) {
    uint8_t *memory = malloc(size > 0 ? size : 1);
    if (memory == nullptr) __builtin_trap();
    return memory;
}

demo_string_t text(const char *constant) {
    demo_string_t text;
    demo_string_set(&text, constant);
    return text;
}

bool text_equals(demo_string_t text, const char *constant) {
    return text.len == strlen(constant) && memcmp(text.ptr, constant, text.len) == 0;
}

bool text_is_ascii(demo_string_t text) {
    for (size_t at = 0; at < text.len; at++) {
        if (text.ptr[at] > 0x7f) return false;
    }
    return true;
}

demo_string_t text_of_number(int64_t number) {
    enum { MOST = 20 };  // the length of -9223372036854775808
    uint8_t *end = allocate(MOST) + MOST, *start = end;
    // The smallest int64_t cannot be negated in its own type.
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        *--start = (uint8_t)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0) *--start = '-';
    return (demo_string_t){.ptr = start, .len = (size_t)(end - start)};
}

static size_t find(demo_string_t text, demo_string_t part) {
    for (size_t at = 0; at + part.len <= text.len; at++) {
        if (memcmp(text.ptr + at, part.ptr, part.len) == 0) return at;
    }
    return text.len;
}

demo_string_t text_fill(demo_string_t template, const char *name, demo_string_t value) {
    demo_string_t gap = text(name);
    size_t before = find(template, gap);
    if (before == template.len) return template;
    size_t after = template.len - before - gap.len;
    demo_string_t filled = {.ptr = allocate(before + value.len + after)};
    filled.len = before + value.len + after;
    memcpy(filled.ptr, template.ptr, before);
    memcpy(filled.ptr + before, value.ptr, value.len);
    memcpy(filled.ptr + before + value.len, template.ptr + before + gap.len, after);
    return filled;
}
