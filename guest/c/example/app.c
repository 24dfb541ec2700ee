#include <string.h>

#include "session3.h"

// An application with more than one user looks up a hash of the password in its database.
static bool is_password(const char *user, const char *password) {
    return user != NULL && password != NULL && strcmp(user, "alice") == 0 &&
           strcmp(password, "wonderland") == 0;
}

static void show_page(session3_session *session, session3_response *response) {
    session3_html(response, "<!DOCTYPE html>\n<title>Hello</title>\n");
    for (const char *const *message = session3_take_flashes(session); *message; message++) {
        session3_html(response, "<p><em>%s</em></p>\n", *message);
    }
    const char *user = session3_user(session), *token = session3_csrf_token(session);
    if (user == NULL) {
        session3_html(response,
                      "<form method=\"post\" action=\"login\">\n"
                      "<input type=\"hidden\" name=\"token\" value=\"%s\">\n"
                      "User <input name=\"user\">\n"
                      "Password <input name=\"password\" type=\"password\">\n"
                      "<button>Log in</button>\n</form>\n",
                      token);
    } else {
        session3_html(response,
                      "<p>Hello, %s! You have seen this page %lld times.</p>\n"
                      "<form method=\"post\" action=\"logout\">\n"
                      "<input type=\"hidden\" name=\"token\" value=\"%s\">\n"
                      "<button>Log out</button>\n</form>\n",
                      user, session3_add(session, "visits", 1), token);
    }
}

void session3_handle(const session3_request *request, session3_session *session,
                     session3_response *response) {
    bool is_log_in = session3_matches(request, "POST", "/login");
    bool is_log_out = session3_matches(request, "POST", "/logout");
    if (session3_matches(request, "GET", "/")) {
        show_page(session, response);
    } else if (!is_log_in && !is_log_out) {
        session3_answer(response, 404, "There is no such page.");
    } else if (!session3_is_csrf_token(session, session3_field(request, "token"))) {
        session3_answer(response, 403, "This form is too old: load the page again.");
    } else {
        const char *user = session3_field(request, "user");
        if (is_log_out) {
            session3_set_user(session, NULL);
        } else if (is_password(user, session3_field(request, "password"))) {
            session3_set_user(session, user);
        } else {
            session3_flash(session, "This is not the password.");
        }
        session3_redirect(response, "/");
    }
}
