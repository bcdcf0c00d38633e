// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a guest shows as the disk's serial.

use std::str::FromStr;

/// Bytes of a serial, in virtio (Virtio 1.2, 5.2.6) and in NVMe (2.0, 5.17.2.1)
/// alike.
pub const SERIAL_LEN: usize = 20;

/// A disk's serial: up to 20 bytes of printable ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serial([u8; SERIAL_LEN]);

/// A text that cannot be a serial.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' cannot be a serial: up to 20 printable ASCII characters")]
pub struct SerialError(String);

impl Serial {
    /// Its text, and zeroes after it; none if it fills all 20.
    pub fn bytes(&self) -> &[u8; SERIAL_LEN] {
        &self.0
    }
}

impl Default for Serial {
    fn default() -> Serial {
        padded("irqstorm")
    }
}

fn padded(text: &str) -> Serial {
    let mut bytes = [0; SERIAL_LEN];
    for (byte, letter) in bytes.iter_mut().zip(text.bytes()) {
        *byte = letter;
    }
    Serial(bytes)
}

impl FromStr for Serial {
    type Err = SerialError;

    fn from_str(text: &str) -> Result<Serial, SerialError> {
        let printable = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        if text.is_empty() || text.len() > SERIAL_LEN || !printable {
            return Err(SerialError(text.to_owned()));
        }
        Ok(padded(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_is_up_to_twenty_printable_characters() {
        assert_eq!(
            "01234567890123456789".parse::<Serial>().unwrap().bytes(),
            b"01234567890123456789"
        );
        assert_eq!(
            &"disk 7".parse::<Serial>().unwrap().bytes()[..8],
            b"disk 7\0\0"
        );
        for wrong in ["", "012345678901234567890", "tab\t", "größe"] {
            assert!(wrong.parse::<Serial>().is_err(), "{wrong:?}");
        }
    }
}
