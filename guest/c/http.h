// Requests and responses as the pages want them, over wasi:http.

#pragma once

#include "demo.h"

typedef session3_sessions_manager_header_t header_t;
typedef session3_sessions_manager_list_header_t headers_t;

// A request, without its body.
typedef struct {
    // WASI_HTTP_TYPES_METHOD_GET and so on.
    uint8_t method;
    // Without the query.
    demo_string_t path;
    // Whether the browser came over TLS.
    bool is_secure;
    // The values of its Cookie headers.
    demo_list_list_u8_t cookies;
    // Who the browser says it is.
    demo_option_string_t user_agent;
} request_t;

// A response, whole.
typedef struct {
    uint16_t status;
    // What the commit returned.
    headers_t headers;
    // And one more.
    header_t header;
    demo_string_t body;
} response_t;

// What the pages want to know of a request.
request_t http_read(wasi_http_types_own_incoming_request_t request);

// Sends a response. When the client is gone, there is nobody to tell.
void http_send(wasi_http_types_own_response_outparam_t out, const response_t *response);
