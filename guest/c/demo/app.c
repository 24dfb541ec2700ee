// The demo application in C.

#include <string.h>

#include "session3.h"

static const char layout[] = {
#embed "layout.html" suffix(, 0)
};
static const char start[] = {
#embed "session.html" suffix(, 0)
};

// Writes a template up to its placeholder `name`, such as `{title}`, and returns what follows.
static const char *write_until(session3_response *response, const char *template,
                               const char *name) {
    const char *gap = strstr(template, name);
    session3_write_bytes(response, (session3_string){template, (size_t)(gap - template)});
    return gap + strlen(name);
}

// Writes the layout up to its body, and returns what follows.
static const char *begin_page(session3_response *response, const char *title) {
    const char *rest = write_until(response, layout, "{title}");
    session3_html(response, "%s", title);
    return write_until(response, rest, "{body}");
}

static void say(session3_response *response, int status, const char *title, const char *words) {
    const char *rest = begin_page(response, title);
    session3_html(response, "<h1>%s</h1>\n<p>%s</p>\n<p><a href=\"./\">Back</a></p>", title,
                  words);
    session3_write(response, rest);
    session3_set_status(response, status);
}

static void show(session3_session *session, session3_response *response) {
    const char *id = session3_id(session);
    const char *after = begin_page(response, "Session3");
    const char *rest = write_until(response, start, "{id}");
    session3_html(response, "%s", id != NULL ? id : "None");
    rest = write_until(response, rest, "{counter}");
    session3_html(response, "%lld", session3_get_integer(session, "counter", 0));
    rest = write_until(response, rest, "{more}");
    session3_write(response, rest);
    session3_write(response, after);
}

static void go_to_start(session3_response *response) {
    session3_redirect(response, "/");
    session3_set_status(response, 302);
}

// Answers a page that fails on purpose. A response with this status commits nothing, so the
// session stays as it was.
static void fail(session3_response *response) {
    say(response, 500, "Failed on purpose",
        "This request changed the session and then failed, so nothing was saved.");
}

static void keep(session3_session *session, session3_response *response) {
    session3_set_boolean(session, "keep", true);
    go_to_start(response);
}

// Adds 1 to the counter of a stored session. A new session is not stored just for the counter.
static void increment(session3_session *session, session3_response *response) {
    if (session3_id(session) != NULL) session3_add(session, "counter", 1);
    go_to_start(response);
}

static void increment_and_fail(session3_session *session, session3_response *response) {
    session3_add(session, "counter", 1);
    fail(response);
}

static void log_out(session3_session *session, session3_response *response) {
    session3_expire(session);
    go_to_start(response);
}

static void log_out_and_fail(session3_session *session, session3_response *response) {
    session3_expire(session);
    fail(response);
}

static const struct {
    const char *path;
    void (*answer)(session3_session *session, session3_response *response);
} pages[] = {
    {"/", show},
    {"/keep", keep},
    {"/increment", increment},
    {"/incrementfail", increment_and_fail},
    {"/logout", log_out},
    {"/logoutfail", log_out_and_fail},
};

// Without TLS, the cookie is not `Secure` and its name has no prefix, since browsers accept the
// default cookie only over TLS.
void session3_configure(const session3_request *request, session3_config *config) {
    if (request->is_secure) return;
    config->cookie.name = "session3";
    config->cookie.secure = false;
}

void session3_handle(const session3_request *request, session3_session *session,
                     session3_response *response) {
    bool is_head = strcmp(request->method, "HEAD") == 0;
    if (!is_head && strcmp(request->method, "GET") != 0) {
        session3_set_header(response, "Allow", "GET, HEAD");
        say(response, 405, "Not allowed", "This page answers GET and HEAD.");
        return;
    }
    for (size_t at = 0; at < sizeof pages / sizeof pages[0]; at++) {
        if (strcmp(request->path, pages[at].path) == 0) {
            pages[at].answer(session, response);
            return;
        }
    }
    say(response, 404, "Not found", "There is no such page.");
}
