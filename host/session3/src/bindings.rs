//! The bindings that wasmtime generates from `wit/`, and nothing else.
#![expect(missing_docs, reason = "the WIT has the documentation")]

wasmtime::component::bindgen!({
    path: ["wit", "wit/worlds/session-manager.wit"],
    world: "session3:worlds/session-manager",
    imports: { default: async },
    exports: { default: async },
    with: {
        "session3:sessions/store.session-lock": crate::linker::HeldLock,
        "wasi": wasmtime_wasi::p2::bindings,
    },
    require_store_data_send: true,
});
