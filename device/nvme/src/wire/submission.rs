// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A submission queue entry (4.2).

/// Bytes of an entry: what CC.IOSQES has to say, as a power of two (3.1.3.5).
pub(crate) const SQE_LEN: usize = 64;

/// One entry. What its dwords 10 to 15 mean is each command's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Command([u8; SQE_LEN]);

impl Command {
    /// That of these bytes: any bytes are a command.
    pub(crate) fn new(bytes: [u8; SQE_LEN]) -> Command {
        Command(bytes)
    }

    /// Command dword `n`, 0 to 15.
    pub(crate) fn dword(&self, n: usize) -> u32 {
        let (dwords, _) = self.0.as_chunks();
        dwords.get(n).copied().map_or(0, u32::from_le_bytes)
    }

    /// Dwords `n` and `n + 1` as one number.
    pub(crate) fn qword(&self, n: usize) -> u64 {
        u64::from(self.dword(n + 1)) << 32 | u64::from(self.dword(n))
    }

    pub(crate) fn opcode(&self) -> u8 {
        (self.dword(0) & 0xff) as u8
    }

    /// Whether it is half of a fused operation.
    pub(crate) fn is_fused(&self) -> bool {
        self.dword(0) >> 8 & 0x3 != 0
    }

    /// PSDT: how the data pointer is to be read (Figure 87).
    pub(crate) fn pointer_kind(&self) -> u8 {
        (self.dword(0) >> 14 & 0x3) as u8
    }

    pub(crate) fn id(&self) -> u16 {
        (self.dword(0) >> 16) as u16
    }

    pub(crate) fn namespace(&self) -> u32 {
        self.dword(1)
    }

    /// The data pointer as an SGL descriptor.
    pub(crate) fn sgl(&self) -> [u8; 16] {
        let (_, pointer) = self.0.split_at(24);
        pointer.first_chunk().copied().unwrap_or_default()
    }

    pub(crate) fn prp1(&self) -> u64 {
        self.qword(6)
    }

    pub(crate) fn prp2(&self) -> u64 {
        self.qword(8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_read_from_where_the_specification_puts_it() {
        let mut bytes = [0; 64];
        for (value, byte) in (0..).zip(&mut bytes) {
            *byte = value;
        }
        bytes[1] = 0x81;
        let command = Command::new(bytes);
        assert_eq!(command.opcode(), 0);
        assert!(command.is_fused());
        assert_eq!(command.pointer_kind(), 2);
        assert_eq!(command.id(), 0x0302);
        assert_eq!(command.namespace(), 0x0706_0504);
        assert_eq!(command.prp1(), 0x1f1e_1d1c_1b1a_1918);
        assert_eq!(command.prp2(), 0x2726_2524_2322_2120);
        assert_eq!(command.sgl()[15], 0x27);
        assert_eq!(command.dword(10), 0x2b2a_2928);
        assert_eq!(command.dword(16), 0);
    }
}
