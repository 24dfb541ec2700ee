//! What wasmtime makes of `wit/`, and nothing else.
#![expect(missing_docs, reason = "the WIT has them")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "session-manager",
    imports: { default: async },
    exports: { default: async },
    with: {
        "wasi": wasmtime_wasi::p2::bindings,
    },
    require_store_data_send: true,
});
