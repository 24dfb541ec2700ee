// Reads requests and sends responses over wasi:http.

#pragma once

#include "demo.h"

typedef session3_sessions_manager_header_t header_t;
typedef session3_sessions_manager_list_header_t headers_t;

// A request, without its body.
typedef struct {
    // The HTTP method, a constant such as WASI_HTTP_TYPES_METHOD_GET.
    uint8_t method;
    // The path, without the query.
    demo_string_t path;
    // Whether the browser uses TLS.
    bool is_secure;
    // The values of the Cookie headers.
    demo_list_list_u8_t cookies;
    // The client's address, from the X-Forwarded-For header that session3 serve sets.
    demo_option_string_t remote_address;
    // The User-Agent header, if it is ASCII.
    demo_option_string_t user_agent;
} request_t;

// A complete response.
typedef struct {
    uint16_t status;
    // The headers that the commit returned.
    headers_t headers;
    // One additional header. It is not sent if its name is empty.
    header_t header;
    demo_string_t body;
} response_t;

// Reads a request.
request_t http_read(wasi_http_types_own_incoming_request_t request);

// Sends a response. Errors are ignored: after them, the client cannot be reached.
void http_send(wasi_http_types_own_response_outparam_t out, const response_t *response);
