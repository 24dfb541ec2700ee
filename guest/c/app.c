// The demo application in C. This file contains the pages.

#include "demo.h"
#include "http.h"
#include "text.h"

typedef session3_sessions_manager_borrow_session_t session_t;
typedef session3_sessions_manager_session_error_t session_error_t;

static const char layout[] = {
#embed "layout.html" suffix(, 0)
};
static const char start[] = {
#embed "session.html" suffix(, 0)
};

static response_t html(uint16_t status, const char *title, demo_string_t body) {
    demo_string_t page = text_fill(text(layout), "{title}", text(title));
    return (response_t){
        .status = status,
        .header = {text("Content-Type"), text("text/html; charset=utf-8")},
        .body = text_fill(page, "{body}", body),
    };
}

static response_t message(uint16_t status, const char *title, const char *words) {
    demo_string_t body =
        text("<h1>{title}</h1>\n<p>{words}</p>\n<p><a href=\"./\">Back</a></p>");
    body = text_fill(body, "{title}", text(title));
    return html(status, title, text_fill(body, "{words}", text(words)));
}

static response_t not_allowed(void) {
    response_t response = message(405, "Not allowed", "This page answers GET and HEAD.");
    static header_t allow;
    allow = (header_t){text("Allow"), text("GET, HEAD")};
    response.headers = (headers_t){&allow, 1};
    return response;
}

// Returns the response of a page that fails on purpose. The page does not commit, so the
// session stays as it was.
static response_t on_purpose(void) {
    return message(500, "Failed on purpose",
                   "This request changed the session and then failed, so nothing was saved.");
}

static response_t failed(session_error_t error) {
    const char *title = "That did not work";
    switch (error.tag) {
        case SESSION3_SESSIONS_MANAGER_SESSION_ERROR_ENDED:
            return message(
                409, title,
                "Your session ended while this request was under way. Nothing was saved.");
        case SESSION3_SESSIONS_MANAGER_SESSION_ERROR_CONFLICT:
            return message(
                409, title,
                "Another request changed your session at the same time. Nothing was saved; "
                "try again.");
        case SESSION3_SESSIONS_MANAGER_SESSION_ERROR_CLIENT_CHANGED:
            return message(403, title,
                           "Your session began in another browser or network. Log in again.");
        case SESSION3_SESSIONS_MANAGER_SESSION_ERROR_READ_ONLY:
            return message(500, title, "This page may not change the session. Nothing was saved.");
        case SESSION3_SESSIONS_MANAGER_SESSION_ERROR_BUSY:
            return message(
                503, title,
                "There are too many requests for your session at once. Nothing was saved; "
                "try again.");
        case SESSION3_SESSIONS_MANAGER_SESSION_ERROR_STORE:
            return message(503, title,
                           "Your session is not available at the moment. Try again later.");
        default:
            return message(400, title,
                           "Your session does not accept this request. Nothing was saved.");
    }
}

// The pages. Each function writes its response to `response`, and returns true. If a call of
// the session manager fails, it returns false and stores the reason in `error`.

static bool show(session_t session, response_t *response, session_error_t *error) {
    demo_string_t id;
    if (!session3_sessions_manager_method_session_id(session, &id)) id = text("None");

    demo_string_t name = text("counter");
    session3_sessions_manager_value_t counter;
    bool is_number = session3_sessions_manager_method_session_get(session, &name, &counter) &&
                     counter.tag == SESSION3_SESSIONS_SESSION_TYPES_VALUE_INTEGER;

    demo_string_t body = text_fill(text(start), "{id}", id);
    body = text_fill(body, "{counter}", text_of_number(is_number ? counter.val.integer : 0));
    body = text_fill(body, "{more}", text(""));
    *response = html(200, "Session3", body);
    return session3_sessions_manager_method_session_commit(session, &response->headers, error);
}

static bool to_start(session_t session, response_t *response, session_error_t *error) {
    *response = (response_t){.status = 302, .header = {text("Location"), text("/")}};
    return session3_sessions_manager_method_session_commit(session, &response->headers, error);
}

static bool keep(session_t session, response_t *response, session_error_t *error) {
    demo_string_t name = text("keep");
    session3_sessions_manager_value_t yes = {
        .tag = SESSION3_SESSIONS_SESSION_TYPES_VALUE_BOOLEAN,
        .val.boolean = true,
    };
    return session3_sessions_manager_method_session_set(session, &name, &yes, error) &&
           to_start(session, response, error);
}

static bool add_one(session_t session, session_error_t *error) {
    demo_string_t name = text("counter");
    int64_t sum;
    return session3_sessions_manager_method_session_add(session, &name, 1, &sum, error);
}

// Adds 1 to the counter of a stored session. A new session is not stored just for the counter.
static bool increment(session_t session, response_t *response, session_error_t *error) {
    demo_string_t id;
    bool is_kept = session3_sessions_manager_method_session_id(session, &id);
    return (!is_kept || add_one(session, error)) && to_start(session, response, error);
}

static bool increment_and_fail(session_t session, response_t *response,
                               session_error_t *error) {
    *response = on_purpose();
    return add_one(session, error);
}

static bool log_out(session_t session, response_t *response, session_error_t *error) {
    return session3_sessions_manager_method_session_expire(session, error) &&
           to_start(session, response, error);
}

static bool log_out_and_fail(session_t session, response_t *response, session_error_t *error) {
    *response = on_purpose();
    return session3_sessions_manager_method_session_expire(session, error);
}

static const struct {
    const char *path;
    bool (*answer)(session_t session, response_t *response, session_error_t *error);
} pages[] = {
    {"/", show},
    {"/keep", keep},
    {"/increment", increment},
    {"/incrementfail", increment_and_fail},
    {"/logout", log_out},
    {"/logoutfail", log_out_and_fail},
};

// Returns the default configuration. Without TLS, the cookie is not `Secure` and its name has
// no prefix, since browsers accept the default cookie only over TLS.
static session3_sessions_manager_config_t config(bool is_secure) {
    session3_sessions_manager_config_t config;
    session3_sessions_manager_default_config(&config);
    if (!is_secure) {
        config.cookie.name = text("session3");
        config.cookie.secure = false;
    }
    return config;
}

static bool open(const request_t *request, session3_sessions_manager_own_session_t *session,
                 session_error_t *error) {
    session3_sessions_manager_config_t chosen = config(request->is_secure);
    session3_sessions_manager_request_t client = {
        .cookies = request->cookies,
        .remote_address = request->remote_address,
        .user_agent = request->user_agent,
    };
    // The response to HEAD is that of GET, and nothing else happens.
    session3_sessions_manager_mode_t mode = request->method == WASI_HTTP_TYPES_METHOD_HEAD
                                                ? SESSION3_SESSIONS_MANAGER_MODE_DRY_RUN
                                                : SESSION3_SESSIONS_MANAGER_MODE_MERGE;
    session3_sessions_manager_own_session_manager_t manager;
    return session3_sessions_manager_static_session_manager_open(&chosen, &manager, error) &&
           session3_sessions_manager_method_session_manager_get_session(
               session3_sessions_manager_borrow_session_manager(manager), &client,
               mode, session, error);
}

static response_t page(const request_t *request) {
    for (size_t at = 0; at < sizeof pages / sizeof pages[0]; at++) {
        if (!text_equals(request->path, pages[at].path)) continue;
        session3_sessions_manager_own_session_t session;
        session_error_t error;
        response_t response;
        bool done = open(request, &session, &error) &&
                    pages[at].answer(session3_sessions_manager_borrow_session(session), &response,
                                     &error);
        return done ? response : failed(error);
    }
    return message(404, "Not found", "There is no such page.");
}

static response_t answer(const request_t *request) {
    bool is_head = request->method == WASI_HTTP_TYPES_METHOD_HEAD;
    if (!is_head && request->method != WASI_HTTP_TYPES_METHOD_GET) return not_allowed();
    response_t response = page(request);
    if (is_head) response.body.len = 0;
    return response;
}

void exports_wasi_http_incoming_handler_handle(
    exports_wasi_http_incoming_handler_own_incoming_request_t incoming,
    exports_wasi_http_incoming_handler_own_response_outparam_t out) {
    request_t request = http_read(incoming);
    response_t response = answer(&request);
    http_send(out, &response);
}
