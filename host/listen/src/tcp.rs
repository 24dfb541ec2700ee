//! TCP listeners: one for each address of a host.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use tokio::net::{TcpListener, lookup_host};

/// How often a free port is chosen anew, because it is taken on another address of the host.
const ATTEMPTS: usize = 10;

/// Listens on all addresses of a host, such as 127.0.0.1 and ::1 of `localhost`. Port 0
/// chooses a port that is free on all of them. An address that this machine does not have is
/// left out, as long as there is another one.
///
/// # Errors
///
/// If the host has no address, or the port is taken on one of them.
pub(crate) async fn bind(host: &str, port: u16) -> Result<Vec<TcpListener>> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in lookup_host((host, port)).await? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    for _ in 1..ATTEMPTS {
        match bind_all(&addresses, port).await {
            Err(error) if port == 0 && error.kind() == ErrorKind::AddrInUse => {}
            result => return result,
        }
    }
    bind_all(&addresses, port).await
}

async fn bind_all(addresses: &[SocketAddr], mut port: u16) -> Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    let mut missing = Error::new(ErrorKind::AddrNotAvailable, "the host has no address");
    for address in addresses {
        let mut address = *address;
        address.set_port(port);
        match TcpListener::bind(address).await {
            Ok(listener) => {
                port = listener.local_addr()?.port();
                listeners.push(listener);
            }
            Err(error) if is_missing(&error) => missing = error,
            Err(error) => return Err(error),
        }
    }
    match listeners.is_empty() {
        true => Err(missing),
        false => Ok(listeners),
    }
}

/// Returns whether the machine lacks an address, or all addresses of its family.
fn is_missing(error: &Error) -> bool {
    let is_family_missing =
        error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    is_family_missing || error.kind() == ErrorKind::AddrNotAvailable
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[tokio::test]
    async fn both_families_get_the_same_port_and_a_missing_address_is_left_out() {
        let missing = (Ipv4Addr::new(192, 0, 2, 1), 0).into();
        let present = (Ipv4Addr::LOCALHOST, 0).into();
        let addresses = [missing, present, (Ipv6Addr::LOCALHOST, 0).into()];
        let listeners = bind_all(&addresses, 0).await.expect("a free port");
        let listeners = listeners
            .iter()
            .map(|l| l.local_addr().expect("an address"));
        let listeners: Vec<_> = listeners.collect();
        assert_eq!(listeners[0].ip(), present.ip());
        let port = listeners[0].port();
        assert!(listeners.iter().all(|address| address.port() == port));
        let has_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok();
        assert_eq!(listeners.len(), 1 + usize::from(has_ipv6));

        let error = bind_all(&[present], port).await.expect_err("a taken port");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let error = bind_all(&[missing], 0).await.expect_err("no address");
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    }

    #[tokio::test]
    async fn an_address_without_a_name_needs_no_lookup() {
        let listeners = bind("127.0.0.1", 0).await.expect("a free port");
        assert_eq!(listeners.len(), 1);
        assert!(bind("no.such.host.invalid", 0).await.is_err());
    }
}
