// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Who may steer the device: its own user, and root. The socket's mode says so
//! as well; it is checked again since whoever may write to a folder can put
//! another socket's file, or another mode, in its place.

use std::os::unix::net::UnixStream;

use rustix::process::Uid;

/// A client of another user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the device is user {device}'s, and this client user {client}'s")]
pub(super) struct Stranger {
    device: u32,
    client: u32,
}

/// Refuses a client that is another user's. One that cannot be asked is
/// nobody's.
pub(super) fn check(client: &UnixStream) -> Result<(), Stranger> {
    let peer = rustix::net::sockopt::socket_peercred(client);
    admit(
        rustix::process::geteuid(),
        peer.map_or(Uid::from_raw(u32::MAX - 1), |peer| peer.uid),
    )
}

fn admit(device: Uid, client: Uid) -> Result<(), Stranger> {
    if client == device || client.is_root() {
        return Ok(());
    }
    Err(Stranger {
        device: device.as_raw(),
        client: client.as_raw(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_devices_user_and_root_are_let_in_and_no_one_else() {
        let user = |id| Uid::from_raw(id);
        assert_eq!(admit(user(1000), user(1000)), Ok(()));
        assert_eq!(admit(user(1000), user(0)), Ok(()));
        let stranger = Stranger {
            device: 1000,
            client: 1001,
        };
        assert_eq!(admit(user(1000), user(1001)), Err(stranger));
        assert!(admit(user(0), user(1000)).is_err());
    }

    #[test]
    fn a_client_of_this_process_is_let_in() {
        let (client, _other) = UnixStream::pair().unwrap();
        assert_eq!(check(&client), Ok(()));
    }
}
