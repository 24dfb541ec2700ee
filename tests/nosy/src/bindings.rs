//! What wit-bindgen makes of `wit/` and of a few lines of WASI, and nothing else.

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package session3:test-nosy;

        world test-nosy {
            import wasi:cli/environment@0.2.6;
            import wasi:cli/stdout@0.2.6;
            import wasi:cli/stderr@0.2.6;
            import wasi:filesystem/preopens@0.2.6;
            import wasi:http/types@0.2.6;
            import wasi:sockets/instance-network@0.2.6;
            import wasi:sockets/ip-name-lookup@0.2.6;
            export wasi:http/incoming-handler@0.2.6;
        }

        package wasi:cli@0.2.6 {
            interface environment {
                get-environment: func() -> list<tuple<string, string>>;
            }
            interface stdout {
                use wasi:io/streams@0.2.6.{output-stream};
                get-stdout: func() -> output-stream;
            }
            interface stderr {
                use wasi:io/streams@0.2.6.{output-stream};
                get-stderr: func() -> output-stream;
            }
        }

        package wasi:sockets@0.2.6 {
            interface network {
                resource network;
                enum error-code {
                    unknown, access-denied, not-supported, invalid-argument, out-of-memory,
                    timeout, concurrency-conflict, not-in-progress, would-block,
                    invalid-state, new-socket-limit, address-not-bindable, address-in-use,
                    remote-unreachable, connection-refused, connection-reset,
                    connection-aborted, datagram-too-large, name-unresolvable,
                    temporary-resolver-failure, permanent-resolver-failure,
                }
            }
            interface instance-network {
                use network.{network};
                instance-network: func() -> network;
            }
            interface ip-name-lookup {
                use network.{network, error-code};
                resource resolve-address-stream;
                resolve-addresses: func(network: borrow<network>, name: string)
                    -> result<resolve-address-stream, error-code>;
            }
        }

        package wasi:filesystem@0.2.6 {
            interface types {
                resource descriptor {
                    open-at: func(
                        path-flags: path-flags,
                        path: string,
                        open-flags: open-flags,
                        %flags: descriptor-flags,
                    ) -> result<descriptor, error-code>;
                    read: func(length: u64, offset: u64)
                        -> result<tuple<list<u8>, bool>, error-code>;
                }
                flags path-flags { symlink-follow }
                flags open-flags { create, directory, exclusive, truncate }
                flags descriptor-flags {
                    read, write, file-integrity-sync, data-integrity-sync,
                    requested-write-sync, mutate-directory,
                }
                enum error-code {
                    access, would-block, already, bad-descriptor, busy, deadlock, quota,
                    exist, file-too-large, illegal-byte-sequence, in-progress, interrupted,
                    invalid, io, is-directory, loop, too-many-links, message-size,
                    name-too-long, no-device, no-entry, no-lock, insufficient-memory,
                    insufficient-space, not-directory, not-empty, not-recoverable,
                    unsupported, no-tty, no-such-device, overflow, not-permitted, pipe,
                    read-only, invalid-seek, text-file-busy, cross-device,
                }
            }
            interface preopens {
                use types.{descriptor};
                get-directories: func() -> list<tuple<descriptor, string>>;
            }
        }
    ",
    world: "session3:test-nosy/test-nosy",
    generate_all,
});
