// Web applications with sessions, in C.
//
// An application defines `session3_handle`, which gets a request and its session, and writes
// the response. Everything around it is the task of `session3.c`:
//
// - The session is opened when a function first needs it, with the cookie of the request.
// - After `session3_handle`, the changes are committed, and then the response is sent with the
//   headers of the session. A response with a status of 500 or above commits nothing.
// - A function that fails says why in the session, as a stream of `stdio.h` does. All further
//   functions that could fail then do nothing, nothing is committed, and the browser gets a
//   page with the status of the error. The log says why, if it is the fault of the application.
//   So an application need not check each call. One that wants to react calls
//   `session3_last_error` and `session3_clear_error`.
// - A HEAD request runs as GET does, but changes nothing.
//
// The names and the rules are those of `session3:sessions/manager`, which `session3 wit`
// prints; see there for details of a function.
//
// Strings end with a NUL and are UTF-8. What a function returns stays valid until
// `session3_handle` returns: then all memory of the request is cleared and freed.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The largest body of a request, in bytes. A request with a larger one is answered 413. The
// build of `session3.c` may define another number.
#ifndef SESSION3_MAX_BODY
#define SESSION3_MAX_BODY (1 << 20)
#endif

// A text or other bytes, with their length. In what this package returns, a NUL follows the
// last byte.
typedef struct {
    const char *data;
    size_t length;
} session3_string;

// A request.
typedef struct {
    // The method, such as "POST".
    const char *method;
    // The path, such as "/login", as the browser sent it: see `session3_decode`.
    const char *path;
    // What follows the question mark in the URL, or "".
    const char *query;
    // Whether the browser uses TLS.
    bool is_secure;
    // The client's address, from the header X-Forwarded-For, which `session3 serve` sets;
    // NULL if it is unknown.
    const char *remote_address;
    // The body. It is empty for GET and HEAD.
    session3_string body;
    // Private: the handle of the headers.
    int32_t headers;
} session3_request;

// The session of a request.
typedef struct session3_session session3_session;

// The response to a request, with the status 200 at first.
typedef struct session3_response session3_response;

// Answers a request. The application defines this function.
void session3_handle(const session3_request *request, session3_session *session,
                     session3_response *response);

// --- Requests ---

// Returns whether a request has this method and this path. A HEAD request counts as GET.
bool session3_matches(const session3_request *request, const char *method, const char *path);

// Returns a field of a submitted form (`application/x-www-form-urlencoded`). Returns NULL if
// there is no such field, or if its value is not UTF-8 or contains a NUL.
const char *session3_field(const session3_request *request, const char *name);

// Returns a field of the query, by the rules of `session3_field`.
const char *session3_query(const session3_request *request, const char *name);

// Returns all values of a field in an encoded form, such as `request->body`, by the rules of
// `session3_field`. NULL follows the last one.
const char *const *session3_values(session3_string form, const char *name);

// Returns a header; several with the same name are joined with commas. Returns NULL if there
// is none. The value may be anything but UTF-8.
const char *session3_header(const session3_request *request, const char *name);

// Returns the value of a cookie, as the browser sent it, or NULL.
const char *session3_cookie(const session3_request *request, const char *name);

// Decodes `%20` and the like in a part of a path. Returns NULL if the result is not UTF-8 or
// contains a NUL.
const char *session3_decode(const char *text);

// --- Responses ---

// Sets the status, such as 404.
void session3_set_status(session3_response *response, int status);

// Sets a header, in place of those with the same name. If a name or a value is not allowed in
// HTTP, or the header is one that only the server sets, such as Connection, the browser gets a
// page with the status 500, nothing is committed, and the log says why.
void session3_set_header(session3_response *response, const char *name, const char *value);

// Adds a header to those with the same name, by the rules of `session3_set_header`.
void session3_add_header(session3_response *response, const char *name, const char *value);

// Adds a text to the body as it is.
void session3_write(session3_response *response, const char *text);

// Adds bytes to the body as they are.
void session3_write_bytes(session3_response *response, session3_string bytes);

// Adds HTML to the body, and sets the Content-Type if there is none. `format` is that of
// `printf` with %s, %d, %i, %u, %% and the lengths l, ll and z. A string is escaped, so it
// shows in a page, and in an attribute in quotation marks, as what it is.
__attribute__((format(printf, 2, 3)))
void session3_html(session3_response *response, const char *format, ...);

// Sends the browser to another page, which it gets with GET (status 303).
void session3_redirect(session3_response *response, const char *location);

// Replaces the body with a page that says `text`, and sets the status.
void session3_answer(session3_response *response, int status, const char *text);

// --- Errors ---

// Why a function failed: see `session-error` in the WIT.
typedef enum {
    SESSION3_OK,
    SESSION3_INVALID,         // 400: a name, a value or a sum is not allowed
    SESSION3_CLIENT_CHANGED,  // 403: the session began in another browser or network
    SESSION3_ENDED,           // 409: the session was ended meanwhile, or its user changed
    SESSION3_CONFLICT,        // 409: another request saved the session first
    SESSION3_BUSY,            // 503: the session was locked for too long
    SESSION3_READ_ONLY,       // 500: the request changed a session that it only reads
    SESSION3_STORE,           // 503: the store failed
} session3_error;

// Returns the status with which an error is answered; 200 for `SESSION3_OK`.
int session3_status(session3_error error);

// Returns the first error since the session was opened or `session3_clear_error` was called.
session3_error session3_last_error(const session3_session *session);

// Returns what that error says, for a log. It may name what only operators should see.
const char *session3_error_message(const session3_session *session);

// Forgets that error, so that the functions work again and the request is committed.
void session3_clear_error(session3_session *session);

// --- Sessions ---
//
// A function that returns `bool`, and is no question, returns false if it fails; the others
// return 0, "", false or an empty list then.

// How a request uses its session: see `mode` in the WIT.
typedef enum {
    SESSION3_MODE_MERGE,
    SESSION3_MODE_STRICT,
    SESSION3_MODE_EXCLUSIVE,
    SESSION3_MODE_READ_ONLY,
} session3_mode;

// Opens the session in another mode than `SESSION3_MODE_MERGE`. Fails if it has been opened. A
// HEAD request opens it in the mode `dry-run` in any case.
bool session3_open(session3_session *session, session3_mode mode);

// Returns the ID, or NULL before the first commit that stores the session.
const char *session3_id(session3_session *session);

// Returns whether no cookie of the request opened the session.
bool session3_is_new(session3_session *session);

// Returns when the session began, in milliseconds since 1970.
uint64_t session3_created(session3_session *session);

// Returns when the session was used before this request, in milliseconds since 1970.
uint64_t session3_accessed(session3_session *session);

// Returns the address of the client that began the session, or NULL.
const char *session3_remote_address(session3_session *session);

// Returns the user who is logged in, or NULL.
const char *session3_user(session3_session *session);

// Logs a user in, after the application has checked the password. NULL logs the user out.
bool session3_set_user(session3_session *session, const char *user);

// Returns when the user was last set, in milliseconds since 1970; 0 without a user.
uint64_t session3_authenticated(session3_session *session);

// Sets whether the session outlasts the browser.
bool session3_remember(session3_session *session, bool remember);

// Returns whether the session outlasts the browser.
bool session3_is_remembered(session3_session *session);

// Returns whether the session has anything to store.
bool session3_has_info(session3_session *session);

// The types of values.
typedef enum {
    SESSION3_BOOLEAN,
    SESSION3_INTEGER,
    SESSION3_NUMBER,
    SESSION3_TEXT,
    SESSION3_BYTES,
    SESSION3_JSON,
} session3_type;

// The value of an attribute. A text may contain a NUL.
typedef struct {
    session3_type type;
    union {
        bool boolean;
        int64_t integer;
        double number;
        session3_string text;
        session3_string bytes;
        session3_string json;
    };
} session3_value;

// Stores the value of an attribute in `value`. Returns false if no attribute has this name.
bool session3_get(session3_session *session, const char *name, session3_value *value);

// These return the value of an attribute. They return `otherwise` if no attribute has this
// name, if it has another type, or if a text contains a NUL.
bool session3_get_boolean(session3_session *session, const char *name, bool otherwise);
int64_t session3_get_integer(session3_session *session, const char *name, int64_t otherwise);
double session3_get_number(session3_session *session, const char *name, double otherwise);
const char *session3_get_text(session3_session *session, const char *name,
                              const char *otherwise);
const char *session3_get_json(session3_session *session, const char *name,
                              const char *otherwise);
session3_string session3_get_bytes(session3_session *session, const char *name,
                                   session3_string otherwise);

// These set an attribute. They fail with `SESSION3_INVALID` if the name or a text is not
// UTF-8, the name is empty or longer than 256 bytes, or a number is NaN or infinite. The JSON
// is stored as it is.
bool session3_set(session3_session *session, const char *name, session3_value value);
bool session3_set_boolean(session3_session *session, const char *name, bool value);
bool session3_set_integer(session3_session *session, const char *name, int64_t value);
bool session3_set_number(session3_session *session, const char *name, double value);
bool session3_set_text(session3_session *session, const char *name, const char *value);
bool session3_set_json(session3_session *session, const char *name, const char *value);
bool session3_set_bytes(session3_session *session, const char *name, session3_string value);

// Removes an attribute and returns whether there was one. Stores its value in `value` unless
// that is NULL.
bool session3_remove(session3_session *session, const char *name, session3_value *value);

// Returns the names of the attributes, and NULL after the last one.
const char *const *session3_names(session3_session *session);

// Adds to an integer, which starts at 0, and returns the sum. Additions of concurrent requests
// all count.
int64_t session3_add(session3_session *session, const char *name, int64_t delta);

// Returns a token for a hidden field of any number of forms, against cross-site request
// forgery.
const char *session3_csrf_token(session3_session *session);

// Returns whether a token, which may be NULL, is one of this session.
bool session3_is_csrf_token(session3_session *session, const char *token);

// Returns a token for a single submission of a form.
const char *session3_create_form_token(session3_session *session);

// Returns whether a form token, which may be NULL, is valid. It stays so.
bool session3_has_form_token(session3_session *session, const char *token);

// Uses a form token up, at once, and returns whether it was valid. Of several requests with
// the same token, at most one gets true. The token may be NULL.
bool session3_remove_form_token(session3_session *session, const char *token);

// Adds a message for the next page.
bool session3_flash(session3_session *session, const char *message);

// Returns the messages, and NULL after the last one. The commit removes them.
const char *const *session3_take_flashes(session3_session *session);

// Renews the token in the cookie at the commit.
bool session3_renew(session3_session *session);

// Commits the changes so far, before the application does something that must not happen
// without them. What comes later is committed as usual.
bool session3_commit(session3_session *session);

// Drops the changes that were not committed.
void session3_forget_changes(session3_session *session);

// Ends the session at the commit. To log a user out and keep the session, for a message on
// the next page, call `session3_set_user` with NULL.
bool session3_expire(session3_session *session);

// One of the sessions of a user. The times are milliseconds since 1970.
typedef struct {
    const char *id;
    bool is_current;
    uint64_t created;
    uint64_t accessed;
    uint64_t expires;
    bool is_remembered;
    const char *remote_address;  // or NULL
    const char *user_agent;      // or NULL
} session3_summary;

// Returns the sessions of the user. After the last one, there is one whose ID is NULL.
const session3_summary *session3_own_sessions(session3_session *session);

// Ends one session of the user at once, and returns whether there was one with this ID, which
// may be NULL.
bool session3_expire_own(session3_session *session, const char *id);

// Ends all other sessions of the user at once, and returns their number.
uint32_t session3_expire_others(session3_session *session);

// --- Other servers ---

// A request to another server. What is left out is NULL or empty.
typedef struct {
    // Begins with http:// or https://.
    const char *url;
    // NULL is "GET".
    const char *method;
    // The names and the values of the headers in turn, and NULL after the last one.
    const char *const *headers;
    session3_string body;
} session3_call;

// The answer of another server.
typedef struct {
    // The status, such as 200; 0 if there is no answer.
    int status;
    session3_string body;
    // Why there is no answer; NULL if there is one.
    const char *error;
    // Whether there is none because the operator does not allow the server.
    bool is_denied;
} session3_fetched;

// Sends a request, such as session3_fetch((session3_call){.url = "https://api.example/rates"}),
// and waits for the answer, which may have as many bytes as a request to this application.
// `session3 serve` refuses each server that --allow-outbound does not name, and limits the time
// of the whole request with --timeout. Redirects are not followed.
session3_fetched session3_fetch(session3_call call);

// --- Log and memory ---

// Writes a line to the log of the server.
void session3_log(const char *text);

// Returns memory that is cleared, and freed after the request. Never returns NULL: if there is
// no memory left, the request ends with the status 500.
void *session3_allocate(size_t size);

// --- What an application may define as well ---

typedef enum {
    SESSION3_SAME_SITE_STRICT,
    SESSION3_SAME_SITE_LAX,
    SESSION3_SAME_SITE_NONE,
} session3_same_site;

typedef enum {
    SESSION3_POLICY_IGNORE,
    SESSION3_POLICY_REPORT,
    SESSION3_POLICY_END,
    SESSION3_POLICY_FAIL,
} session3_policy;

typedef enum {
    SESSION3_CACHING_NO_STORE,
    SESSION3_CACHING_PRIVATE,
} session3_user_caching;

// How sessions work: see `config` in the WIT. All times are in seconds.
typedef struct {
    struct {
        const char *name;
        const char *path;
        const char *domain;  // or NULL
        bool secure;
        bool http_only;
        session3_same_site same_site;
        bool partitioned;
        uint32_t max_age;  // 0: the cookie ends with the browser
    } cookie;
    uint32_t idle_timeout;
    uint32_t absolute_timeout;
    uint32_t first_use_timeout;
    uint32_t renew_after;
    uint32_t renew_grace;
    uint32_t touch_after;
    struct {
        uint32_t idle_timeout;
        uint32_t absolute_timeout;
        uint32_t max_age;  // 0: no session can be remembered
    } remember;
    uint32_t max_sessions_per_user;  // 0: no limit
    session3_policy on_client_change;
    session3_policy on_damage;
    session3_user_caching user_caching;
    bool clear_cache;
} session3_config;

// Changes the configuration of the session of a request. Without this function, it is the one
// that the host gives, which is safe. A configuration that the operator's policy forbids makes
// every use of the session fail with `SESSION3_INVALID`.
void session3_configure(const session3_request *request, session3_config *config);

// Answers a request whose session failed. `response` is empty; its status is
// `session3_status(error)`. `message` is that of `session3_error_message`. Without this
// function, the browser gets a page of one sentence. The page must not show the session.
void session3_handle_error(const session3_request *request, session3_error error,
                           const char *message, session3_response *response);
