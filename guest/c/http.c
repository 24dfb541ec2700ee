#include "http.h"

#include <string.h>

#include "text.h"

// The largest number of bytes that one call of blocking-write-and-flush may write.
enum { CHUNK = 4096 };

static wasi_http_types_list_field_value_t values(wasi_http_types_own_headers_t headers,
                                                 const char *name) {
    demo_string_t key = text(name);
    wasi_http_types_list_field_value_t found;
    wasi_http_types_method_fields_get(wasi_http_types_borrow_fields(headers), &key, &found);
    return found;
}

// Returns the first value of a header, if it is ASCII.
static demo_option_string_t first(wasi_http_types_own_headers_t headers, const char *name) {
    wasi_http_types_list_field_value_t found = values(headers, name);
    if (found.len == 0) return (demo_option_string_t){};
    demo_string_t value = {found.ptr[0].ptr, found.ptr[0].len};
    return (demo_option_string_t){text_is_ascii(value), value};
}

request_t http_read(wasi_http_types_own_incoming_request_t incoming) {
    wasi_http_types_borrow_incoming_request_t borrowed =
        wasi_http_types_borrow_incoming_request(incoming);
    request_t request = {};

    wasi_http_types_method_t method;
    wasi_http_types_method_incoming_request_method(borrowed, &method);
    request.method = method.tag;

    wasi_http_types_scheme_t scheme;
    request.is_secure = wasi_http_types_method_incoming_request_scheme(borrowed, &scheme) &&
                        scheme.tag == WASI_HTTP_TYPES_SCHEME_HTTPS;

    if (wasi_http_types_method_incoming_request_path_with_query(borrowed, &request.path)) {
        const uint8_t *query = memchr(request.path.ptr, '?', request.path.len);
        if (query != nullptr) request.path.len = (size_t)(query - request.path.ptr);
    }

    wasi_http_types_own_headers_t headers =
        wasi_http_types_method_incoming_request_headers(borrowed);
    wasi_http_types_list_field_value_t cookies = values(headers, "cookie");
    // The generated types of wasi:http and of the session manager have the same layout.
    request.cookies = (demo_list_list_u8_t){(demo_list_u8_t *)cookies.ptr, cookies.len};
    request.remote_address = first(headers, "x-forwarded-for");
    request.user_agent = first(headers, "user-agent");
    // A host can use the instance for another request only if nothing of this one is left.
    wasi_http_types_fields_drop_own(headers);
    wasi_http_types_incoming_request_drop_own(incoming);
    return request;
}

static void append(wasi_http_types_own_fields_t fields, header_t header) {
    wasi_http_types_field_value_t value = {header.value.ptr, header.value.len};
    wasi_http_types_header_error_t error;
    // This fails only for a header that programs must not set, which no page adds.
    wasi_http_types_method_fields_append(wasi_http_types_borrow_fields(fields), &header.name,
                                         &value, &error);
}

static void write(wasi_http_types_own_outgoing_body_t body, demo_string_t text) {
    wasi_io_streams_own_output_stream_t stream;
    if (!wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body),
                                                    &stream)) {
        return;
    }
    wasi_io_streams_stream_error_t error;
    bool is_open = true;
    for (size_t at = 0; is_open && at < text.len; at += CHUNK) {
        size_t left = text.len - at;
        demo_list_u8_t chunk = {text.ptr + at, left < CHUNK ? left : CHUNK};
        is_open = wasi_io_streams_method_output_stream_blocking_write_and_flush(
            wasi_io_streams_borrow_output_stream(stream), &chunk, &error);
    }
    // wasi:http requires that the stream is dropped before the body is finished.
    wasi_io_streams_output_stream_drop_own(stream);
}

void http_send(wasi_http_types_own_response_outparam_t out, const response_t *response) {
    wasi_http_types_own_fields_t fields = wasi_http_types_constructor_fields();
    for (size_t at = 0; at < response->headers.len; at++) {
        append(fields, response->headers.ptr[at]);
    }
    if (response->header.name.len > 0) append(fields, response->header);

    wasi_http_types_own_outgoing_response_t outgoing =
        wasi_http_types_constructor_outgoing_response(fields);
    wasi_http_types_borrow_outgoing_response_t borrowed =
        wasi_http_types_borrow_outgoing_response(outgoing);
    wasi_http_types_method_outgoing_response_set_status_code(borrowed, response->status);
    wasi_http_types_own_outgoing_body_t body;
    bool has_body = wasi_http_types_method_outgoing_response_body(borrowed, &body);

    wasi_http_types_result_own_outgoing_response_error_code_t result = {.val.ok = outgoing};
    wasi_http_types_static_response_outparam_set(out, &result);
    if (!has_body) return;
    write(body, response->body);
    wasi_http_types_error_code_t error;
    wasi_http_types_static_outgoing_body_finish(body, nullptr, &error);
}
