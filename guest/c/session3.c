// The implementation of `session3.h`. The first half computes with memory only, and compiles
// for every machine, so that tests can run it with sanitizers. The second half calls the host
// through the functions that wit-bindgen has generated from the WIT.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "session3.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// --- The memory of a request ---

// The smallest size of a block of memory, in bytes.
#ifndef SESSION3_BLOCK
#define SESSION3_BLOCK 32768
#endif

// A block, which serves many allocations one after the other.
struct block {
    struct block *next;
    size_t size;
    size_t used;
    alignas(max_align_t) char bytes[];
};

// The blocks of the request, the newest first.
static struct block *blocks;

static void add_block(size_t size) {
    if (size < SESSION3_BLOCK) size = SESSION3_BLOCK;
    if (size > PTRDIFF_MAX - sizeof(struct block)) __builtin_trap();
    struct block *block = calloc(1, sizeof *block + size);
    if (block == NULL) __builtin_trap();
    block->next = blocks;
    block->size = size;
    blocks = block;
}

void *session3_allocate(size_t size) {
    const size_t alignment = alignof(max_align_t);
    size_t start = blocks == NULL ? 0 : (blocks->used + alignment - 1) & ~(alignment - 1);
    if (blocks == NULL || start > blocks->size || size > blocks->size - start) {
        add_block(size);
        start = 0;
    }
    blocks->used = start + size;
    return blocks->bytes + start;
}

// Clears the memory of the request, so that the next one finds nothing in it, and frees all
// of it but the first block.
static void free_memory(void) {
    while (blocks != NULL) {
        struct block *block = blocks;
        explicit_bzero(block->bytes, block->used);
        block->used = 0;
        if (block->next == NULL) return;
        blocks = block->next;
        free(block);
    }
}

// A text that grows. A NUL follows its last byte, if it has any.
struct buffer {
    char *data;
    size_t length;
    size_t capacity;
};

static void append(struct buffer *buffer, const char *data, size_t length) {
    if (length == 0) return;
    if (length >= buffer->capacity - buffer->length) {
        size_t capacity = 2 * (buffer->length + length) + 64;
        if (capacity < length) __builtin_trap();
        char *grown = session3_allocate(capacity);
        if (buffer->length > 0) memcpy(grown, buffer->data, buffer->length);
        buffer->data = grown;
        buffer->capacity = capacity;
    }
    memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
}

static void append_text(struct buffer *buffer, const char *text) {
    append(buffer, text, strlen(text));
}

// Returns the texts one after the other.
static const char *join(const char *first, const char *second, const char *third) {
    struct buffer joined = {0};
    append_text(&joined, first);
    append_text(&joined, second);
    append_text(&joined, third);
    return joined.length > 0 ? joined.data : "";
}

static const char *copy(const char *text) {
    return join(text, "", "");
}

// --- Texts ---

// Returns whether bytes are UTF-8 (RFC 3629). A function of the host that gets a text which is
// not UTF-8 would end the instance.
static bool is_utf8(const char *data, size_t length) {
    const unsigned char *at = (const unsigned char *)data, *end = at + length;
    while (at < end) {
        unsigned char first = *at++, low = 0x80, high = 0xbf;
        size_t more;
        if (first < 0x80) {
            more = 0;
        } else if (first >= 0xc2 && first <= 0xdf) {
            more = 1;
        } else if (first >= 0xe0 && first <= 0xef) {
            more = 2;
            if (first == 0xe0) low = 0xa0;   // shorter forms are not allowed
            if (first == 0xed) high = 0x9f;  // nor are surrogates
        } else if (first >= 0xf0 && first <= 0xf4) {
            more = 3;
            if (first == 0xf0) low = 0x90;
            if (first == 0xf4) high = 0x8f;
        } else {
            return false;
        }
        if ((size_t)(end - at) < more) return false;
        for (; more > 0; more--, at++) {
            if (*at < low || *at > high) return false;
            low = 0x80;
            high = 0xbf;
        }
    }
    return true;
}

static int hexadecimal(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    return -1;
}

// Returns the next byte of an encoded text, which is not at its end, and moves behind it. A
// percent sign without two hexadecimal digits stands for itself.
static char next_byte(const char **at, const char *end, bool is_form) {
    char byte = *(*at)++;
    if (byte == '+' && is_form) return ' ';
    if (byte != '%' || end - *at < 2) return byte;
    int first = hexadecimal((*at)[0]), second = hexadecimal((*at)[1]);
    if (first < 0 || second < 0) return byte;
    *at += 2;
    return (char)(first * 16 + second);
}

// Returns the decoded text; NULL if it is not UTF-8 or contains a NUL.
static const char *decode(const char *at, const char *end, bool is_form) {
    char *decoded = session3_allocate((size_t)(end - at) + 1);
    size_t length = 0;
    while (at < end) decoded[length++] = next_byte(&at, end, is_form);
    bool is_text = is_utf8(decoded, length) && memchr(decoded, '\0', length) == NULL;
    return is_text ? decoded : NULL;
}

const char *session3_decode(const char *text) {
    return decode(text, text + strlen(text), false);
}

static const char *find(const char *at, const char *end, char byte) {
    const char *found = at < end ? memchr(at, byte, (size_t)(end - at)) : NULL;
    return found != NULL ? found : end;
}

// Returns whether the encoded text is this name.
static bool is_name(const char *at, const char *end, const char *name) {
    for (; at < end; name++) {
        if (*name == '\0' || next_byte(&at, end, true) != *name) return false;
    }
    return *name == '\0';
}

// Returns the next value with this name in a form that begins at `*at`, and moves behind it.
// Returns NULL at the end.
static const char *next_value(const char **at, const char *end, const char *name) {
    while (*at < end) {
        const char *field = *at, *field_end = find(field, end, '&');
        const char *name_end = find(field, field_end, '=');
        *at = field_end < end ? field_end + 1 : end;
        if (field == field_end || !is_name(field, name_end, name)) continue;
        const char *start = name_end < field_end ? name_end + 1 : field_end;
        const char *value = decode(start, field_end, true);
        if (value != NULL) return value;
    }
    return NULL;
}

static const char *first_value(const char *form, size_t length, const char *name) {
    return next_value(&form, form + length, name);
}

const char *const *session3_values(session3_string form, const char *name) {
    const char *at = form.data, *end = at + form.length, *value;
    struct buffer values = {0};
    while ((value = next_value(&at, end, name)) != NULL) {
        append(&values, (const char *)&value, sizeof value);
    }
    value = NULL;
    append(&values, (const char *)&value, sizeof value);
    return (const char *const *)(const void *)values.data;
}

const char *session3_query(const session3_request *request, const char *name) {
    return first_value(request->query, strlen(request->query), name);
}

bool session3_matches(const session3_request *request, const char *method, const char *path) {
    const char *own = strcmp(request->method, "HEAD") == 0 ? "GET" : request->method;
    return strcmp(own, method) == 0 && strcmp(request->path, path) == 0;
}

// Returns the value of a cookie in the Cookie headers, which are joined with semicolons.
static const char *cookie(const char *cookies, const char *name) {
    size_t length = strlen(name);
    for (const char *at = cookies; *at != '\0';) {
        at += strspn(at, "; \t");
        size_t whole = strcspn(at, ";");
        if (whole > length && strncmp(at, name, length) == 0 && at[length] == '=') {
            struct buffer value = {0};
            append(&value, at + length + 1, whole - length - 1);
            return value.length > 0 ? value.data : "";
        }
        at += whole;
    }
    return NULL;
}

// --- Headers ---

struct header {
    const char *name;
    const char *value;
};

struct headers {
    struct header *items;
    size_t count;
    size_t capacity;
};

static bool is_called(const struct header *header, const char *name) {
    return strcasecmp(header->name, name) == 0;
}

static void add(struct headers *headers, struct header added) {
    if (headers->count == headers->capacity) {
        headers->capacity = 2 * headers->capacity + 8;
        struct header *items = session3_allocate(headers->capacity * sizeof *items);
        if (headers->count > 0) memcpy(items, headers->items, headers->count * sizeof *items);
        headers->items = items;
    }
    headers->items[headers->count++] = added;
}

static void set(struct headers *headers, struct header header) {
    size_t kept = 0;
    for (size_t at = 0; at < headers->count; at++) {
        if (!is_called(&headers->items[at], header.name)) {
            headers->items[kept++] = headers->items[at];
        }
    }
    headers->count = kept;
    add(headers, header);
}

static bool has(const struct headers *headers, const char *name) {
    for (size_t at = 0; at < headers->count; at++) {
        if (is_called(&headers->items[at], name)) return true;
    }
    return false;
}

// Returns whether one of the values that are separated by commas is `directive`.
static bool has_directive(const char *value, const char *directive) {
    size_t length = strlen(directive);
    for (const char *at = value; *at != '\0';) {
        at += strspn(at, ", \t");
        size_t whole = strcspn(at, ",");
        size_t trimmed = whole;
        while (trimmed > 0 && strchr(" \t", at[trimmed - 1]) != NULL) trimmed--;
        if (trimmed == length && strncasecmp(at, directive, length) == 0) return true;
        at += whole;
    }
    return false;
}

// Returns the single value of Cache-Control, by the rules of `header` in the WIT.
static const char *cache_control(const struct headers *own, const char *session,
                                 bool sets_cookie) {
    const char *single = NULL;
    bool no_store = false, is_private = false, is_public = false;
    size_t count = 0;
    for (size_t at = 0; at < own->count; at++) {
        if (!is_called(&own->items[at], "Cache-Control")) continue;
        single = own->items[at].value;
        no_store |= has_directive(single, "no-store");
        is_private |= has_directive(single, "private");
        is_public |= has_directive(single, "public");
        count++;
    }
    if (count == 1 && (no_store || (is_private && !is_public && !sets_cookie))) return single;
    // Several headers of the application may contradict each other.
    return no_store ? "no-store" : session;
}

// Adds the headers of a commit to those of the response.
static void merge(struct headers *own, const struct headers *committed) {
    bool sets_cookie = has(committed, "Set-Cookie");
    for (size_t at = 0; at < committed->count; at++) {
        struct header header = committed->items[at];
        if (is_called(&header, "Cache-Control")) {
            header.value = cache_control(own, header.value, sets_cookie);
            set(own, header);
        } else {
            add(own, header);
        }
    }
}

// --- Responses ---

struct session3_response {
    int status;
    struct headers headers;
    struct buffer body;
    // Why the response cannot be sent, or NULL.
    const char *problem;
};

void session3_set_status(session3_response *response, int status) {
    if (status < 200 || status > 599) {
        response->problem = "the application set a status that is not from 200 to 599";
        return;
    }
    response->status = status;
}

// Returns whether an application may set a header.
static bool is_allowed(struct header header) {
    static const char token[] =
        "!#$%&'*+-.^_`|~0123456789"
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const char *const reserved[] = {
        "Connection", "Content-Length", "Host", "HTTP2-Settings", "Keep-Alive",
        "Proxy-Connection", "Transfer-Encoding", "Upgrade",
    };
    size_t length = strlen(header.name);
    if (length == 0 || strspn(header.name, token) != length) return false;
    for (size_t at = 0; at < sizeof reserved / sizeof reserved[0]; at++) {
        if (is_called(&header, reserved[at])) return false;
    }
    for (const char *at = header.value; *at != '\0'; at++) {
        if (((unsigned char)*at < 0x20 && *at != '\t') || *at == 0x7f) return false;
    }
    return true;
}

static void change(session3_response *response, const char *name, const char *value,
                   void (*how)(struct headers *headers, struct header header)) {
    struct header header = {copy(name), copy(value)};
    if (is_allowed(header)) {
        how(&response->headers, header);
    } else {
        response->problem =
            join("the application set the header ", name, ", which is not allowed");
    }
}

void session3_set_header(session3_response *response, const char *name, const char *value) {
    change(response, name, value, set);
}

void session3_add_header(session3_response *response, const char *name, const char *value) {
    change(response, name, value, add);
}

void session3_write(session3_response *response, const char *text) {
    append_text(&response->body, text);
}

void session3_write_bytes(session3_response *response, session3_string bytes) {
    append(&response->body, bytes.data, bytes.length);
}

static void append_escaped(struct buffer *buffer, const char *text) {
    while (*text != '\0') {
        size_t plain = strcspn(text, "&<>\"'");
        append(buffer, text, plain);
        text += plain;
        switch (*text) {
            case '\0': return;
            case '&': append_text(buffer, "&amp;"); break;
            case '<': append_text(buffer, "&lt;"); break;
            case '>': append_text(buffer, "&gt;"); break;
            case '"': append_text(buffer, "&quot;"); break;
            default: append_text(buffer, "&#39;"); break;
        }
        text++;
    }
}

static void append_number(struct buffer *buffer, bool is_negative, unsigned long long number) {
    char digits[3 * sizeof number + 1], *end = digits + sizeof digits, *start = end;
    do {
        *--start = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    if (is_negative) *--start = '-';
    append(buffer, start, (size_t)(end - start));
}

// The arguments of `session3_html`, in a type whose address can be passed on everywhere.
struct arguments {
    va_list list;
};

// Appends the argument for what follows a percent sign at `at`, and returns what follows that;
// NULL if it is unknown.
static const char *append_argument(struct buffer *buffer, const char *at,
                                   struct arguments *arguments) {
    if (*at == '%') {
        append(buffer, at, 1);
        return at + 1;
    }
    if (*at == 's') {
        const char *text = va_arg(arguments->list, const char *);
        if (text != NULL) append_escaped(buffer, text);
        return at + 1;
    }
    enum { INT, LONG, LONG_LONG, SIZE } type = INT;
    if (*at == 'z') type = SIZE, at++;
    for (; *at == 'l' && type < LONG_LONG; at++) type++;
    if (*at == 'd' || *at == 'i') {
        long long number = type == INT    ? va_arg(arguments->list, int)
                           : type == LONG ? va_arg(arguments->list, long)
                           : type == SIZE ? va_arg(arguments->list, ptrdiff_t)
                                          : va_arg(arguments->list, long long);
        // The smallest number cannot be negated in its own type.
        unsigned long long size = (unsigned long long)number;
        append_number(buffer, number < 0, number < 0 ? 0 - size : size);
        return at + 1;
    }
    if (*at == 'u') {
        unsigned long long number = type == INT    ? va_arg(arguments->list, unsigned)
                                    : type == LONG ? va_arg(arguments->list, unsigned long)
                                    : type == SIZE
                                        ? va_arg(arguments->list, size_t)
                                        : va_arg(arguments->list, unsigned long long);
        append_number(buffer, false, number);
        return at + 1;
    }
    return NULL;
}

void session3_html(session3_response *response, const char *format, ...) {
    if (!has(&response->headers, "Content-Type")) {
        session3_set_header(response, "Content-Type", "text/html; charset=utf-8");
    }
    struct arguments arguments;
    va_start(arguments.list, format);
    for (const char *at = format; *at != '\0';) {
        size_t plain = strcspn(at, "%");
        append(&response->body, at, plain);
        at += plain;
        if (*at == '\0') break;
        at = append_argument(&response->body, at + 1, &arguments);
        if (at == NULL) {
            response->problem = "the application used session3_html with an unknown format";
            break;
        }
    }
    va_end(arguments.list);
}

void session3_redirect(session3_response *response, const char *location) {
    session3_set_status(response, 303);
    session3_set_header(response, "Location", location);
}

void session3_answer(session3_response *response, int status, const char *text) {
    response->body = (struct buffer){0};
    session3_set_status(response, status);
    session3_set_header(response, "Content-Type", "text/html; charset=utf-8");
    session3_html(response,
                  "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                  "<title>%d</title></head>\n<body><p>%s</p></body></html>\n",
                  status, text);
}

// --- Errors ---

int session3_status(session3_error error) {
    static const short statuses[] = {200, 400, 403, 409, 409, 503, 500, 503};
    return statuses[error];
}

// What the default page says. The message of an error stays in the application, since it may
// name what only operators should see.
static const char *page_of(session3_error error) {
    switch (error) {
        case SESSION3_CLIENT_CHANGED:
            return "Your session began in another browser or network. Log in again.";
        case SESSION3_ENDED:
        case SESSION3_CONFLICT:
            return "Your session changed while this request was under way. Nothing was saved.";
        case SESSION3_BUSY:
        case SESSION3_STORE:
            return "Your session is not available at the moment. Try again later.";
        default:
            return "Your session does not accept this request. Nothing was saved.";
    }
}

#ifdef __wasm__

#include "session3_bindings.h"

typedef session3_bindings_string_t wit_string;
typedef session3_bindings_option_string_t wit_option_string;
typedef session3_sessions_manager_session_error_t wit_error;
typedef session3_sessions_manager_value_t wit_value;

// --- Memory that the host fills ---

// The host calls this function for what it returns: strings and lists are in the memory of the
// request, so no code frees them. The NUL after a string is there since memory is cleared.
__attribute__((export_name("cabi_realloc")))
void *cabi_realloc(void *old, size_t old_size, size_t alignment, size_t size) {
    (void)alignment;  // never more than that of a 64-bit integer
    char *memory = session3_allocate(size + 1);
    if (old_size > 0) memcpy(memory, old, old_size < size ? old_size : size);
    return memory;
}

// The adapter for WASI preview 1, which a component has whose code uses stdio.h, keeps its
// state from one request to the next.
__attribute__((export_name("cabi_realloc_adapter")))
void *cabi_realloc_adapter(void *old, size_t old_size, size_t alignment, size_t size) {
    void *memory = aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (memory == NULL) __builtin_trap();
    if (old_size > 0) memcpy(memory, old, old_size < size ? old_size : size);
    return memory;
}

static wit_string to_wit(const char *text) {
    return (wit_string){(uint8_t *)text, strlen(text)};
}

static session3_string from_wit(const void *data, size_t length) {
    return (session3_string){length > 0 ? data : "", length};
}

// Returns a string of the host; NULL if it contains a NUL, since only its beginning could be
// seen.
static const char *c_string(wit_string string) {
    if (string.len == 0) return "";
    return memchr(string.ptr, '\0', string.len) == NULL ? (const char *)string.ptr : NULL;
}

// Returns the strings of a list, without those that contain a NUL, and a NULL after them.
static const char *const *c_strings(session3_bindings_list_string_t list) {
    const char **strings = session3_allocate((list.len + 1) * sizeof *strings);
    size_t count = 0;
    for (size_t at = 0; at < list.len; at++) {
        const char *string = c_string(list.ptr[at]);
        if (string != NULL) strings[count++] = string;
    }
    return strings;
}

static wit_option_string optional(const char *text) {
    return text != NULL && is_utf8(text, strlen(text)) ? (wit_option_string){true, to_wit(text)}
                                                       : (wit_option_string){0};
}

// --- Errors ---

struct session3_session {
    const session3_request *request;
    bool is_open;
    session3_sessions_manager_own_session_manager_t manager;
    session3_sessions_manager_own_session_t handle;
    session3_error error;
    const char *message;
    // The headers that commits have returned.
    struct headers committed;
};

session3_error session3_last_error(const session3_session *session) {
    return session->error;
}

const char *session3_error_message(const session3_session *session) {
    return session->message;
}

void session3_clear_error(session3_session *session) {
    session->error = SESSION3_OK;
    session->message = "";
}

static bool fail(session3_session *session, session3_error error, const char *message) {
    if (session->error == SESSION3_OK) {
        session->error = error;
        session->message = message;
    }
    return false;
}

static const char *message_of(wit_string message) {
    return from_wit(message.ptr, message.len).data;
}

// Returns whether a function of the session manager has succeeded. If not, notes its error.
static bool check(session3_session *session, bool is_done, const wit_error *error) {
    if (is_done) return true;
    switch (error->tag) {
        case SESSION3_SESSIONS_MANAGER_SESSION_ERROR_INVALID:
            return fail(session, SESSION3_INVALID, message_of(error->val.invalid));
        case SESSION3_SESSIONS_MANAGER_SESSION_ERROR_CLIENT_CHANGED:
            return fail(session, SESSION3_CLIENT_CHANGED, "the client of the session changed");
        case SESSION3_SESSIONS_MANAGER_SESSION_ERROR_ENDED:
            return fail(session, SESSION3_ENDED, "the session was ended");
        case SESSION3_SESSIONS_MANAGER_SESSION_ERROR_CONFLICT:
            return fail(session, SESSION3_CONFLICT, "another request saved the session first");
        case SESSION3_SESSIONS_MANAGER_SESSION_ERROR_BUSY:
            return fail(session, SESSION3_BUSY, "the session was locked for too long");
        case SESSION3_SESSIONS_MANAGER_SESSION_ERROR_READ_ONLY:
            return fail(session, SESSION3_READ_ONLY, "the session may only be read");
        default:
            return fail(session, SESSION3_STORE, message_of(error->val.store));
    }
}

// Returns whether text can be passed to the host. `what` names it.
static bool is_text(session3_session *session, const char *what, session3_string text) {
    if (text.data == NULL) return fail(session, SESSION3_INVALID, join(what, " is NULL", ""));
    if (is_utf8(text.data, text.length)) return true;
    return fail(session, SESSION3_INVALID, join(what, " is not UTF-8", ""));
}

static session3_string string_of(const char *text) {
    return (session3_string){text, text == NULL ? 0 : strlen(text)};
}

// Stores `text` in `string`, if it can be passed to the host.
static bool to_argument(session3_session *session, const char *what, const char *text,
                        wit_string *string) {
    if (!is_text(session, what, string_of(text))) return false;
    *string = to_wit(text);
    return true;
}

static const char attribute[] = "the name of an attribute";

// --- Opening ---

static session3_config config_of(const session3_sessions_manager_config_t *config) {
    return (session3_config){
        .cookie = {
            .name = c_string(config->cookie.name),
            .path = c_string(config->cookie.path),
            .domain = config->cookie.domain.is_some ? c_string(config->cookie.domain.val) : NULL,
            .secure = config->cookie.secure,
            .http_only = config->cookie.http_only,
            .same_site = (session3_same_site)config->cookie.same_site,
            .partitioned = config->cookie.partitioned,
            .max_age = config->cookie.max_age.is_some ? config->cookie.max_age.val : 0,
        },
        .idle_timeout = config->idle_timeout,
        .absolute_timeout = config->absolute_timeout,
        .first_use_timeout = config->first_use_timeout,
        .renew_after = config->renew_after,
        .renew_grace = config->renew_grace,
        .touch_after = config->touch_after,
        .remember = {
            .idle_timeout = config->remember.is_some ? config->remember.val.idle_timeout : 0,
            .absolute_timeout =
                config->remember.is_some ? config->remember.val.absolute_timeout : 0,
            .max_age = config->remember.is_some ? config->remember.val.max_age : 0,
        },
        .max_sessions_per_user =
            config->max_sessions_per_user.is_some ? config->max_sessions_per_user.val : 0,
        .on_client_change = (session3_policy)config->on_client_change,
        .on_damage = (session3_policy)config->on_damage,
        .user_caching = (session3_user_caching)config->user_caching,
        .clear_cache = config->clear_cache,
    };
}

static bool to_wit_config(session3_session *session, const session3_config *config,
                          session3_sessions_manager_config_t *wit) {
    *wit = (session3_sessions_manager_config_t){
        .cookie = {
            .secure = config->cookie.secure,
            .http_only = config->cookie.http_only,
            .same_site = (session3_sessions_manager_same_site_t)config->cookie.same_site,
            .partitioned = config->cookie.partitioned,
            .max_age = {config->cookie.max_age != 0, config->cookie.max_age},
        },
        .idle_timeout = config->idle_timeout,
        .absolute_timeout = config->absolute_timeout,
        .first_use_timeout = config->first_use_timeout,
        .renew_after = config->renew_after,
        .renew_grace = config->renew_grace,
        .touch_after = config->touch_after,
        .remember = {
            config->remember.max_age != 0,
            {
                config->remember.idle_timeout,
                config->remember.absolute_timeout,
                config->remember.max_age,
            },
        },
        .max_sessions_per_user = {
            config->max_sessions_per_user != 0,
            config->max_sessions_per_user,
        },
        .on_client_change = (session3_sessions_manager_policy_t)config->on_client_change,
        .on_damage = (session3_sessions_manager_policy_t)config->on_damage,
        .user_caching = (session3_sessions_manager_user_caching_t)config->user_caching,
        .clear_cache = config->clear_cache,
    };
    if (config->cookie.domain != NULL) {
        wit->cookie.domain.is_some = true;
        if (!to_argument(session, "the domain of the cookie", config->cookie.domain,
                         &wit->cookie.domain.val)) {
            return false;
        }
    }
    return to_argument(session, "the name of the cookie", config->cookie.name,
                       &wit->cookie.name) &&
           to_argument(session, "the path of the cookie", config->cookie.path,
                       &wit->cookie.path);
}

__attribute__((weak))
void session3_configure(const session3_request *request, session3_config *config) {
    (void)request;
    (void)config;
}

static session3_bindings_list_list_u8_t list_of_header(const session3_request *request,
                                                      const char *name) {
    wasi_http_types_borrow_fields_t headers = {request->headers};
    wit_string key = to_wit(name);
    wasi_http_types_list_field_value_t values;
    wasi_http_types_method_fields_get(headers, &key, &values);
    // The generated types of wasi:http and of the session manager have the same layout.
    return (session3_bindings_list_list_u8_t){(session3_bindings_list_u8_t *)values.ptr,
                                             values.len};
}

static bool open_manager(session3_session *session) {
    session3_sessions_manager_config_t wit;
    session3_sessions_manager_default_config(&wit);
    session3_config config = config_of(&wit);
    session3_configure(session->request, &config);
    wit_error error;
    return to_wit_config(session, &config, &wit) &&
           check(session,
                 session3_sessions_manager_static_session_manager_open(&wit, &session->manager,
                                                                       &error),
                 &error);
}

static void close_manager(session3_session *session) {
    session3_sessions_manager_session_manager_drop_own(session->manager);
}

static bool open_as(session3_session *session, session3_sessions_manager_mode_t mode) {
    if (!open_manager(session)) return false;
    const session3_request *request = session->request;
    session3_sessions_manager_request_t client = {
        .cookies = list_of_header(request, "cookie"),
        .remote_address = optional(request->remote_address),
        .user_agent = optional(session3_header(request, "user-agent")),
    };
    if (strcmp(request->method, "HEAD") == 0) mode = SESSION3_SESSIONS_MANAGER_MODE_DRY_RUN;
    wit_error error;
    session->is_open =
        check(session,
              session3_sessions_manager_method_session_manager_get_session(
                  session3_sessions_manager_borrow_session_manager(session->manager), &client,
                  mode, &session->handle, &error),
              &error);
    if (!session->is_open) close_manager(session);
    return session->is_open;
}

bool session3_open(session3_session *session, session3_mode mode) {
    if (session->error != SESSION3_OK) return false;
    if (session->is_open) {
        return fail(session, SESSION3_INVALID,
                    "the session is open already: open it before it is used");
    }
    return open_as(session, (session3_sessions_manager_mode_t)mode);
}

// Returns whether the session can be read. Opens it, unless that has failed already.
static bool is_open(session3_session *session) {
    bool can_open = !session->is_open && session->error == SESSION3_OK;
    return can_open ? open_as(session, SESSION3_SESSIONS_MANAGER_MODE_MERGE) : session->is_open;
}

// Returns whether a function that can fail may run: the session is open and nothing has failed.
static bool is_ready(session3_session *session) {
    return is_open(session) && session->error == SESSION3_OK;
}

// Closes the session. What was not committed is dropped.
static void close(session3_session *session) {
    if (!session->is_open) return;
    session3_sessions_manager_session_drop_own(session->handle);
    close_manager(session);
    session->is_open = false;
}

// --- Sessions ---

// The name of a generated function, and its first argument.
#define CALL(function, ...) \
    session3_sessions_manager_method_session_##function( \
        session3_sessions_manager_borrow_session(session->handle) __VA_OPT__(, ) __VA_ARGS__)

const char *session3_id(session3_session *session) {
    wit_string id;
    return is_open(session) && CALL(id, &id) ? c_string(id) : NULL;
}

bool session3_is_new(session3_session *session) {
    return is_open(session) && CALL(is_new);
}

uint64_t session3_created(session3_session *session) {
    return is_open(session) ? CALL(created) : 0;
}

uint64_t session3_accessed(session3_session *session) {
    return is_open(session) ? CALL(accessed) : 0;
}

const char *session3_remote_address(session3_session *session) {
    wit_string address;
    return is_open(session) && CALL(remote_address, &address) ? c_string(address) : NULL;
}

const char *session3_user(session3_session *session) {
    wit_string user;
    if (!is_open(session) || !CALL(user, &user)) return NULL;
    const char *name = c_string(user);
    // The beginning of this name could be that of another user.
    if (name == NULL) fail(session, SESSION3_INVALID, "the name of the user contains a NUL");
    return name;
}

bool session3_set_user(session3_session *session, const char *user) {
    wit_string name;
    wit_error error;
    if (!is_ready(session)) return false;
    if (user != NULL && !to_argument(session, "the name of the user", user, &name)) return false;
    return check(session, CALL(set_user, user == NULL ? NULL : &name, &error), &error);
}

uint64_t session3_authenticated(session3_session *session) {
    uint64_t time;
    return is_open(session) && CALL(authenticated, &time) ? time : 0;
}

bool session3_remember(session3_session *session, bool remember) {
    wit_error error;
    return is_ready(session) && check(session, CALL(remember, remember, &error), &error);
}

bool session3_is_remembered(session3_session *session) {
    return is_open(session) && CALL(is_remembered);
}

bool session3_has_info(session3_session *session) {
    return is_open(session) && CALL(has_info);
}

static session3_value value_of(const wit_value *value) {
    switch (value->tag) {
        case SESSION3_SESSIONS_SESSION_TYPES_VALUE_BOOLEAN:
            return (session3_value){SESSION3_BOOLEAN, {.boolean = value->val.boolean}};
        case SESSION3_SESSIONS_SESSION_TYPES_VALUE_INTEGER:
            return (session3_value){SESSION3_INTEGER, {.integer = value->val.integer}};
        case SESSION3_SESSIONS_SESSION_TYPES_VALUE_NUMBER:
            return (session3_value){SESSION3_NUMBER, {.number = value->val.number}};
        case SESSION3_SESSIONS_SESSION_TYPES_VALUE_TEXT:
            return (session3_value){
                SESSION3_TEXT, {.text = from_wit(value->val.text.ptr, value->val.text.len)}};
        case SESSION3_SESSIONS_SESSION_TYPES_VALUE_BYTES:
            return (session3_value){
                SESSION3_BYTES, {.bytes = from_wit(value->val.bytes.ptr, value->val.bytes.len)}};
        default:
            return (session3_value){
                SESSION3_JSON, {.json = from_wit(value->val.json.ptr, value->val.json.len)}};
    }
}

bool session3_get(session3_session *session, const char *name, session3_value *value) {
    wit_string key;
    wit_value found;
    if (!is_open(session) || !to_argument(session, attribute, name, &key) ||
        !CALL(get, &key, &found)) {
        return false;
    }
    *value = value_of(&found);
    return true;
}

static bool get_as(session3_session *session, const char *name, session3_type type,
                   session3_value *value) {
    return session3_get(session, name, value) && value->type == type;
}

bool session3_get_boolean(session3_session *session, const char *name, bool otherwise) {
    session3_value value;
    return get_as(session, name, SESSION3_BOOLEAN, &value) ? value.boolean : otherwise;
}

int64_t session3_get_integer(session3_session *session, const char *name, int64_t otherwise) {
    session3_value value;
    return get_as(session, name, SESSION3_INTEGER, &value) ? value.integer : otherwise;
}

double session3_get_number(session3_session *session, const char *name, double otherwise) {
    session3_value value;
    return get_as(session, name, SESSION3_NUMBER, &value) ? value.number : otherwise;
}

static const char *text_or(session3_string text, const char *otherwise) {
    return memchr(text.data, '\0', text.length) == NULL ? text.data : otherwise;
}

const char *session3_get_text(session3_session *session, const char *name,
                              const char *otherwise) {
    session3_value value;
    bool is_there = get_as(session, name, SESSION3_TEXT, &value);
    return is_there ? text_or(value.text, otherwise) : otherwise;
}

const char *session3_get_json(session3_session *session, const char *name,
                              const char *otherwise) {
    session3_value value;
    bool is_there = get_as(session, name, SESSION3_JSON, &value);
    return is_there ? text_or(value.json, otherwise) : otherwise;
}

session3_string session3_get_bytes(session3_session *session, const char *name,
                                   session3_string otherwise) {
    session3_value value;
    return get_as(session, name, SESSION3_BYTES, &value) ? value.bytes : otherwise;
}

// Stores a value in `wit`, if it can be passed to the host. The session manager itself refuses
// numbers that are not finite.
static bool to_wit_value(session3_session *session, session3_value value, wit_value *wit) {
    switch (value.type) {
        case SESSION3_BOOLEAN:
            wit->tag = SESSION3_SESSIONS_SESSION_TYPES_VALUE_BOOLEAN;
            wit->val.boolean = value.boolean;
            return true;
        case SESSION3_INTEGER:
            wit->tag = SESSION3_SESSIONS_SESSION_TYPES_VALUE_INTEGER;
            wit->val.integer = value.integer;
            return true;
        case SESSION3_NUMBER:
            wit->tag = SESSION3_SESSIONS_SESSION_TYPES_VALUE_NUMBER;
            wit->val.number = value.number;
            return true;
        case SESSION3_TEXT:
            wit->tag = SESSION3_SESSIONS_SESSION_TYPES_VALUE_TEXT;
            wit->val.text = (wit_string){(uint8_t *)value.text.data, value.text.length};
            return is_text(session, "the text", value.text);
        case SESSION3_BYTES:
            wit->tag = SESSION3_SESSIONS_SESSION_TYPES_VALUE_BYTES;
            wit->val.bytes =
                (session3_bindings_list_u8_t){(uint8_t *)value.bytes.data, value.bytes.length};
            return true;
        case SESSION3_JSON:
            wit->tag = SESSION3_SESSIONS_SESSION_TYPES_VALUE_JSON;
            wit->val.json = (wit_string){(uint8_t *)value.json.data, value.json.length};
            return is_text(session, "the JSON", value.json);
    }
    return fail(session, SESSION3_INVALID, "the value has an unknown type");
}

bool session3_set(session3_session *session, const char *name, session3_value value) {
    wit_string key;
    wit_value wit;
    wit_error error;
    return is_ready(session) && to_argument(session, attribute, name, &key) &&
           to_wit_value(session, value, &wit) &&
           check(session, CALL(set, &key, &wit, &error), &error);
}

bool session3_set_boolean(session3_session *session, const char *name, bool value) {
    return session3_set(session, name, (session3_value){SESSION3_BOOLEAN, {.boolean = value}});
}

bool session3_set_integer(session3_session *session, const char *name, int64_t value) {
    return session3_set(session, name, (session3_value){SESSION3_INTEGER, {.integer = value}});
}

bool session3_set_number(session3_session *session, const char *name, double value) {
    return session3_set(session, name, (session3_value){SESSION3_NUMBER, {.number = value}});
}

bool session3_set_text(session3_session *session, const char *name, const char *value) {
    return session3_set(session, name,
                        (session3_value){SESSION3_TEXT, {.text = string_of(value)}});
}

bool session3_set_json(session3_session *session, const char *name, const char *value) {
    return session3_set(session, name,
                        (session3_value){SESSION3_JSON, {.json = string_of(value)}});
}

bool session3_set_bytes(session3_session *session, const char *name, session3_string value) {
    return session3_set(session, name, (session3_value){SESSION3_BYTES, {.bytes = value}});
}

bool session3_remove(session3_session *session, const char *name, session3_value *value) {
    wit_string key;
    session3_sessions_manager_option_value_t removed;
    wit_error error;
    if (!is_ready(session) || !to_argument(session, attribute, name, &key) ||
        !check(session, CALL(remove, &key, &removed, &error), &error) || !removed.is_some) {
        return false;
    }
    if (value != NULL) *value = value_of(&removed.val);
    return true;
}

const char *const *session3_names(session3_session *session) {
    session3_bindings_list_string_t names = {0};
    if (is_open(session)) CALL(names, &names);
    return c_strings(names);
}

int64_t session3_add(session3_session *session, const char *name, int64_t delta) {
    wit_string key;
    int64_t sum;
    wit_error error;
    bool is_done = is_ready(session) && to_argument(session, attribute, name, &key) &&
                   check(session, CALL(add, &key, delta, &sum, &error), &error);
    return is_done ? sum : 0;
}

const char *session3_csrf_token(session3_session *session) {
    wit_string token;
    wit_error error;
    bool is_done = is_ready(session) && check(session, CALL(csrf_token, &token, &error), &error);
    return is_done ? c_string(token) : "";
}

static bool can_be_token(const char *token) {
    return token != NULL && is_utf8(token, strlen(token));
}

bool session3_is_csrf_token(session3_session *session, const char *token) {
    if (!can_be_token(token) || !is_open(session)) return false;
    wit_string string = to_wit(token);
    return CALL(is_csrf_token, &string);
}

const char *session3_create_form_token(session3_session *session) {
    wit_string token;
    wit_error error;
    bool is_done =
        is_ready(session) && check(session, CALL(create_form_token, &token, &error), &error);
    return is_done ? c_string(token) : "";
}

bool session3_has_form_token(session3_session *session, const char *token) {
    if (!can_be_token(token) || !is_open(session)) return false;
    wit_string string = to_wit(token);
    return CALL(has_form_token, &string);
}

bool session3_remove_form_token(session3_session *session, const char *token) {
    if (!can_be_token(token) || !is_ready(session)) return false;
    wit_string string = to_wit(token);
    bool was_valid;
    wit_error error;
    return check(session, CALL(remove_form_token, &string, &was_valid, &error), &error) &&
           was_valid;
}

bool session3_flash(session3_session *session, const char *message) {
    wit_string string;
    wit_error error;
    return is_ready(session) && to_argument(session, "the message", message, &string) &&
           check(session, CALL(flash, &string, &error), &error);
}

const char *const *session3_take_flashes(session3_session *session) {
    session3_bindings_list_string_t messages = {0};
    wit_error error;
    bool is_done =
        is_ready(session) && check(session, CALL(take_flashes, &messages, &error), &error);
    if (!is_done) messages.len = 0;
    return c_strings(messages);
}

bool session3_renew(session3_session *session) {
    wit_error error;
    return is_ready(session) && check(session, CALL(renew, &error), &error);
}

bool session3_commit(session3_session *session) {
    session3_sessions_manager_list_header_t headers;
    wit_error error;
    if (!is_ready(session) || !check(session, CALL(commit, &headers, &error), &error)) {
        return false;
    }
    for (size_t at = 0; at < headers.len; at++) {
        session3_sessions_manager_header_t *header = &headers.ptr[at];
        add(&session->committed,
            (struct header){c_string(header->name), c_string(header->value)});
    }
    return true;
}

void session3_forget_changes(session3_session *session) {
    if (session->is_open) CALL(forget_changes);
}

bool session3_expire(session3_session *session) {
    wit_error error;
    return is_ready(session) && check(session, CALL(expire, &error), &error);
}

static session3_summary summary_of(const session3_sessions_manager_session_summary_t *summary) {
    return (session3_summary){
        .id = c_string(summary->id),
        .is_current = summary->is_current,
        .created = summary->created,
        .accessed = summary->accessed,
        .expires = summary->expires,
        .is_remembered = summary->is_remembered,
        .remote_address =
            summary->remote_address.is_some ? c_string(summary->remote_address.val) : NULL,
        .user_agent = summary->user_agent.is_some ? c_string(summary->user_agent.val) : NULL,
    };
}

const session3_summary *session3_own_sessions(session3_session *session) {
    session3_sessions_manager_list_session_summary_t list;
    wit_error error;
    bool is_done =
        is_ready(session) && check(session, CALL(own_sessions, &list, &error), &error);
    size_t count = is_done ? list.len : 0;
    session3_summary *summaries = session3_allocate((count + 1) * sizeof *summaries);
    for (size_t at = 0; at < count; at++) summaries[at] = summary_of(&list.ptr[at]);
    return summaries;
}

bool session3_expire_own(session3_session *session, const char *id) {
    if (!can_be_token(id) || !is_ready(session)) return false;
    wit_string string = to_wit(id);
    bool was_there;
    wit_error error;
    return check(session, CALL(expire_own, &string, &was_there, &error), &error) && was_there;
}

uint32_t session3_expire_others(session3_session *session) {
    uint32_t count;
    wit_error error;
    bool is_done =
        is_ready(session) && check(session, CALL(expire_others, &count, &error), &error);
    return is_done ? count : 0;
}

// --- Requests over wasi:http ---

const char *session3_header(const session3_request *request, const char *name) {
    if (!is_utf8(name, strlen(name))) return NULL;
    session3_bindings_list_list_u8_t values = list_of_header(request, name);
    const char *separator = strcasecmp(name, "cookie") == 0 ? "; " : ", ";
    struct buffer joined = {0};
    for (size_t at = 0; at < values.len; at++) {
        if (at > 0) append_text(&joined, separator);
        append(&joined, (const char *)values.ptr[at].ptr, values.ptr[at].len);
    }
    if (values.len == 0) return NULL;
    return joined.length > 0 ? joined.data : "";
}

const char *session3_cookie(const session3_request *request, const char *name) {
    const char *cookies = session3_header(request, "Cookie");
    return cookies == NULL ? NULL : cookie(cookies, name);
}

const char *session3_field(const session3_request *request, const char *name) {
    static const char form[] = "application/x-www-form-urlencoded";
    const char *type = session3_header(request, "Content-Type");
    bool is_form = type != NULL && strncasecmp(type, form, sizeof form - 1) == 0 &&
                   strchr("; \t", type[sizeof form - 1]) != NULL;
    return is_form ? first_value(request->body.data, request->body.length, name) : NULL;
}

static const char *method_of(wasi_http_types_borrow_incoming_request_t incoming) {
    static const char *const methods[] = {
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    };
    wasi_http_types_method_t method;
    wasi_http_types_method_incoming_request_method(incoming, &method);
    if (method.tag != WASI_HTTP_TYPES_METHOD_OTHER) return methods[method.tag];
    const char *other = c_string(method.val.other);
    return other != NULL ? other : "";
}

// Reads the body until its end. Returns the status for a request whose body cannot be read, or
// 0.
static int read_stream(wasi_io_streams_borrow_input_stream_t stream, struct buffer *body) {
    enum { CHUNK = 65536 };
    wasi_io_streams_stream_error_t error;
    session3_bindings_list_u8_t chunk;
    while (wasi_io_streams_method_input_stream_blocking_read(stream, CHUNK, &chunk, &error)) {
        if (chunk.len > SESSION3_MAX_BODY - body->length) return 413;
        append(body, (const char *)chunk.ptr, chunk.len);
    }
    if (error.tag == WASI_IO_STREAMS_STREAM_ERROR_CLOSED) return 0;
    wasi_io_error_error_drop_own(error.val.last_operation_failed);
    return 400;
}

static int read_content(wasi_http_types_own_incoming_body_t body, struct buffer *bytes) {
    wasi_io_streams_own_input_stream_t stream;
    int status = 400;
    if (wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(body),
                                                    &stream)) {
        status = read_stream(wasi_io_streams_borrow_input_stream(stream), bytes);
        wasi_io_streams_input_stream_drop_own(stream);
    }
    wasi_http_types_incoming_body_drop_own(body);
    return status;
}

static int read_body(wasi_http_types_borrow_incoming_request_t incoming,
                     session3_request *request) {
    wasi_http_types_own_incoming_body_t body;
    if (!wasi_http_types_method_incoming_request_consume(incoming, &body)) return 400;
    struct buffer bytes = {0};
    int status = read_content(body, &bytes);
    request->body = from_wit(bytes.data, bytes.length);
    return status;
}

// Reads a request. Returns the status for one that cannot be read, or 0.
static int read_request(wasi_http_types_borrow_incoming_request_t incoming,
                        session3_request *request) {
    request->headers = wasi_http_types_method_incoming_request_headers(incoming).__handle;
    request->method = method_of(incoming);
    wasi_http_types_scheme_t scheme;
    request->is_secure = wasi_http_types_method_incoming_request_scheme(incoming, &scheme) &&
                         scheme.tag == WASI_HTTP_TYPES_SCHEME_HTTPS;
    wit_string url = to_wit("/");
    wasi_http_types_method_incoming_request_path_with_query(incoming, &url);
    const char *path = c_string(url);
    if (path == NULL) return 400;
    size_t length = strcspn(path, "?");
    request->query = path[length] == '?' ? path + length + 1 : "";
    struct buffer before = {0};
    append(&before, path, length);
    request->path = length > 0 ? before.data : "/";
    session3_bindings_list_list_u8_t forwarded = list_of_header(request, "x-forwarded-for");
    if (forwarded.len > 0) {
        wit_string address = {forwarded.ptr[0].ptr, forwarded.ptr[0].len};
        request->remote_address = c_string(address);
    }
    request->body = from_wit(NULL, 0);
    bool has_body = strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0;
    return has_body ? read_body(incoming, request) : 0;
}

// --- Responses over wasi:http ---

static bool append_headers(wasi_http_types_borrow_fields_t fields,
                           const struct headers *headers) {
    for (size_t at = 0; at < headers->count; at++) {
        wit_string name = to_wit(headers->items[at].name);
        wit_string value = to_wit(headers->items[at].value);
        wasi_http_types_field_value_t bytes = {value.ptr, value.len};
        wasi_http_types_header_error_t error;
        if (!wasi_http_types_method_fields_append(fields, &name, &bytes, &error)) return false;
    }
    return true;
}

// Writes bytes. An error is ignored: after it, the client cannot be reached.
static void write_bytes(wasi_io_streams_borrow_output_stream_t stream, const char *data,
                        size_t length) {
    enum { CHUNK = 4096 };  // The most that one call may write.
    for (size_t at = 0; at < length; at += CHUNK) {
        size_t left = length - at;
        session3_bindings_list_u8_t chunk = {(uint8_t *)data + at, left < CHUNK ? left : CHUNK};
        wasi_io_streams_stream_error_t error;
        if (!wasi_io_streams_method_output_stream_blocking_write_and_flush(stream, &chunk,
                                                                           &error)) {
            if (error.tag == WASI_IO_STREAMS_STREAM_ERROR_LAST_OPERATION_FAILED) {
                wasi_io_error_error_drop_own(error.val.last_operation_failed);
            }
            return;
        }
    }
}

// Sends a body. An error is ignored: after it, the client cannot be reached, or the answer of the
// other server says why there is none.
static void send_body(wasi_http_types_own_outgoing_body_t body, session3_string bytes) {
    wasi_io_streams_own_output_stream_t stream;
    if (bytes.length > 0 && wasi_http_types_method_outgoing_body_write(
                                wasi_http_types_borrow_outgoing_body(body), &stream)) {
        write_bytes(wasi_io_streams_borrow_output_stream(stream), bytes.data, bytes.length);
        // wasi:http requires that the stream is dropped before the body is finished.
        wasi_io_streams_output_stream_drop_own(stream);
    }
    wasi_http_types_error_code_t error;
    wasi_http_types_static_outgoing_body_finish(body, NULL, &error);
}

static session3_fetched no_answer(const char *error) {
    return (session3_fetched){.error = error};
}

// Says why there is no answer. What the error points to is freed after the request.
static session3_fetched failed(const wasi_http_types_error_code_t *error) {
    switch (error->tag) {
    case WASI_HTTP_TYPES_ERROR_CODE_HTTP_REQUEST_DENIED:
        return (session3_fetched){.error = "the operator does not allow this server",
                                  .is_denied = true};
    case WASI_HTTP_TYPES_ERROR_CODE_CONNECTION_TIMEOUT:
    case WASI_HTTP_TYPES_ERROR_CODE_CONNECTION_READ_TIMEOUT:
    case WASI_HTTP_TYPES_ERROR_CODE_HTTP_RESPONSE_TIMEOUT:
        return no_answer("the server does not answer in time");
    default:
        return no_answer("the server cannot be reached");
    }
}

// Adds the headers of a call, and returns whether HTTP allows them.
static bool add_headers(wasi_http_types_borrow_fields_t fields, const char *const *headers) {
    struct headers added = {0};
    for (const char *const *at = headers; at != NULL && *at != NULL; at += 2) {
        struct header header = {at[0], at[1]};
        if (header.value == NULL || !is_allowed(header)) return false;
        add(&added, header);
    }
    return append_headers(fields, &added);
}

// Sets the method and the parts of the URL, and returns whether HTTP allows them.
static bool set_target(wasi_http_types_borrow_outgoing_request_t request, const char *method,
                       const char *url) {
    bool is_secure = strncmp(url, "https://", 8) == 0;
    if (!is_secure && strncmp(url, "http://", 7) != 0) return false;
    const char *authority = url + (is_secure ? 8 : 7);
    size_t length = strcspn(authority, "/?#");
    const char *rest = authority + length;
    const char *path = *rest == '/' ? rest : join("/", rest, "");
    wit_string name = {(uint8_t *)authority, length};
    wit_string target = {(uint8_t *)path, strcspn(path, "#")};
    wasi_http_types_method_t verb = {.tag = WASI_HTTP_TYPES_METHOD_OTHER,
                                     .val.other = to_wit(method)};
    wasi_http_types_scheme_t scheme = {
        .tag = is_secure ? WASI_HTTP_TYPES_SCHEME_HTTPS : WASI_HTTP_TYPES_SCHEME_HTTP};
    return length > 0 && wasi_http_types_method_outgoing_request_set_method(request, &verb) &&
           wasi_http_types_method_outgoing_request_set_scheme(request, &scheme) &&
           wasi_http_types_method_outgoing_request_set_authority(request, &name) &&
           wasi_http_types_method_outgoing_request_set_path_with_query(request, &target);
}

// Creates the request of a call, and returns whether HTTP allows it.
static bool outgoing_of(const session3_call *call,
                        wasi_http_types_own_outgoing_request_t *request) {
    const char *method = call->method != NULL ? call->method : "GET";
    if (call->url == NULL || !is_utf8(call->url, strlen(call->url))) return false;
    if (!is_utf8(method, strlen(method))) return false;
    wasi_http_types_own_fields_t fields = wasi_http_types_constructor_fields();
    if (!add_headers(wasi_http_types_borrow_fields(fields), call->headers)) {
        wasi_http_types_fields_drop_own(fields);
        return false;
    }
    *request = wasi_http_types_constructor_outgoing_request(fields);
    if (set_target(wasi_http_types_borrow_outgoing_request(*request), method, call->url)) {
        return true;
    }
    wasi_http_types_outgoing_request_drop_own(*request);
    return false;
}

// Reads an answer.
static session3_fetched read_answer(wasi_http_types_own_incoming_response_t response) {
    wasi_http_types_borrow_incoming_response_t self =
        wasi_http_types_borrow_incoming_response(response);
    int status = wasi_http_types_method_incoming_response_status(self);
    wasi_http_types_own_incoming_body_t body;
    struct buffer bytes = {0};
    bool has_body = wasi_http_types_method_incoming_response_consume(self, &body);
    int failure = has_body ? read_content(body, &bytes) : 400;
    wasi_http_types_incoming_response_drop_own(response);
    if (failure == 413) return no_answer("the answer is too large");
    if (failure != 0) return no_answer("the answer is not complete");
    return (session3_fetched){.status = status, .body = from_wit(bytes.data, bytes.length)};
}

// Waits for an answer.
static session3_fetched await_answer(wasi_http_types_own_future_incoming_response_t future) {
    wasi_http_types_borrow_future_incoming_response_t self =
        wasi_http_types_borrow_future_incoming_response(future);
    wasi_http_types_own_pollable_t ready =
        wasi_http_types_method_future_incoming_response_subscribe(self);
    wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(ready));
    wasi_io_poll_pollable_drop_own(ready);
    wasi_http_types_result_result_own_incoming_response_error_code_void_t answer;
    bool is_there = wasi_http_types_method_future_incoming_response_get(self, &answer);
    wasi_http_types_future_incoming_response_drop_own(future);
    if (!is_there || answer.is_err) return no_answer("the server cannot be reached");
    if (answer.val.ok.is_err) return failed(&answer.val.ok.val.err);
    return read_answer(answer.val.ok.val.ok);
}

session3_fetched session3_fetch(session3_call call) {
    wasi_http_types_own_outgoing_request_t request;
    wasi_http_types_own_outgoing_body_t content;
    wasi_http_types_own_future_incoming_response_t future;
    wasi_http_types_error_code_t error;
    if (!outgoing_of(&call, &request)) return no_answer("this is no request of HTTP");
    bool has_body = call.body.length > 0 &&
                    wasi_http_types_method_outgoing_request_body(
                        wasi_http_types_borrow_outgoing_request(request), &content);
    if (!wasi_http_outgoing_handler_handle(request, NULL, &future, &error)) {
        if (has_body) wasi_http_types_outgoing_body_drop_own(content);
        return failed(&error);
    }
    if (has_body) send_body(content, call.body);
    return await_answer(future);
}

void session3_log(const char *text) {
    const char *line = join(text, "\n", "");
    wasi_io_streams_own_output_stream_t stream = wasi_cli_stderr_get_stderr();
    write_bytes(wasi_io_streams_borrow_output_stream(stream), line, strlen(line));
    wasi_io_streams_output_stream_drop_own(stream);
}

// Returns a response without its body; `is_err` if the host does not accept it. A response
// without the headers of the session would lose the cookie, so it is not sent.
static wasi_http_types_result_own_outgoing_response_error_code_t head_of(
    const session3_response *response) {
    wasi_http_types_own_fields_t fields = wasi_http_types_constructor_fields();
    if (!append_headers(wasi_http_types_borrow_fields(fields), &response->headers)) {
        wasi_http_types_fields_drop_own(fields);
        return (wasi_http_types_result_own_outgoing_response_error_code_t){
            .is_err = true,
            .val.err.tag = WASI_HTTP_TYPES_ERROR_CODE_HTTP_RESPONSE_HEADER_SECTION_SIZE,
        };
    }
    wasi_http_types_own_outgoing_response_t outgoing =
        wasi_http_types_constructor_outgoing_response(fields);
    wasi_http_types_method_outgoing_response_set_status_code(
        wasi_http_types_borrow_outgoing_response(outgoing), (uint16_t)response->status);
    return (wasi_http_types_result_own_outgoing_response_error_code_t){.val.ok = outgoing};
}

static void send(wasi_http_types_own_response_outparam_t out, const session3_response *response,
                 bool has_body) {
    wasi_http_types_result_own_outgoing_response_error_code_t head = head_of(response);
    wasi_http_types_own_outgoing_body_t body;
    bool is_open = !head.is_err &&
                   wasi_http_types_method_outgoing_response_body(
                       wasi_http_types_borrow_outgoing_response(head.val.ok), &body);
    wasi_http_types_static_response_outparam_set(out, &head);
    if (!is_open) return;
    send_body(body, has_body ? from_wit(response->body.data, response->body.length)
                             : (session3_string){0});
}

// --- The handler ---

__attribute__((weak))
void session3_handle_error(const session3_request *request, session3_error error,
                           const char *message, session3_response *response) {
    (void)request;
    (void)message;
    session3_answer(response, session3_status(error), page_of(error));
}

// Answers a request whose session failed. What the application has done wrong is logged.
static void refuse(const session3_session *session, session3_response *response) {
    if (session->error == SESSION3_INVALID || session->error == SESSION3_READ_ONLY) {
        session3_log(session->message);
    }
    *response = (session3_response){.status = session3_status(session->error)};
    session3_handle_error(session->request, session->error, session->message, response);
}

// Commits the session, unless the response says that the request failed, or replaces the
// response by one that says so.
static void finish(session3_session *session, session3_response *response) {
    if (response->problem == NULL) {
        if (session->is_open && response->status < 500) session3_commit(session);
        if (session->error != SESSION3_OK) refuse(session, response);
    }
    if (response->problem != NULL) {
        session3_log(response->problem);
        *response = (session3_response){0};
        session3_answer(response, 500, "This page failed.");
    }
    merge(&response->headers, &session->committed);
}

void exports_wasi_http_incoming_handler_handle(
    exports_wasi_http_incoming_handler_own_incoming_request_t incoming,
    exports_wasi_http_incoming_handler_own_response_outparam_t out) {
    session3_request request = {0};
    session3_response response = {.status = 200};
    session3_session session = {.request = &request, .message = ""};
    int status = read_request(wasi_http_types_borrow_incoming_request(incoming), &request);
    if (status == 0) {
        session3_handle(&request, &session, &response);
        finish(&session, &response);
    } else {
        session3_answer(&response, status,
                        status == 413 ? "The request is too large." : "The request is damaged.");
    }
    // While the body of the response is sent, which may take long, nothing of the request is
    // held. A host can use the instance again only if nothing of it is left.
    close(&session);
    wasi_http_types_fields_drop_own((wasi_http_types_own_fields_t){request.headers});
    wasi_http_types_incoming_request_drop_own(incoming);
    bool has_body = strcmp(request.method, "HEAD") != 0 && response.status != 204 &&
                    response.status != 304;
    send(out, &response, has_body);
    free_memory();
}

#endif
