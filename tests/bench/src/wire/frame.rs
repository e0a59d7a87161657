//! WebSocket frames (RFC 6455, section 5.2): whole messages of one frame each.
//!
//! Clients mask with a key of zeros, which is as valid as any and leaves the payload as it is: neither
//! end spends time on it, and no proxy in between looks at it.

use super::Malformed;

/// The first byte of a whole text message: FIN and the opcode 1.
const TEXT: u8 = 0x81;
const MASKED: u8 = 0x80;
const KEY: [u8; 4] = [0; 4];
const MAX_HEADER: usize = 14;

/// The header of a text message of this length, and of a client's key where `masked`.
pub(crate) fn header(length: usize, masked: bool) -> Vec<u8> {
    let mask = if masked { MASKED } else { 0 };
    let mut header = vec![TEXT];
    // The two limits are those of the format: 7 bits, 16 bits, 64 bits.
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => header.push(mask | short),
        (_, Ok(middle)) => {
            header.push(mask | 126);
            header.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            header.push(mask | 127);
            header.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    if masked {
        header.extend_from_slice(&KEY);
    }
    header
}

/// What a stream of frames is made of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A message of this length begins.
    Begin(usize),
    /// Some of its payload.
    Payload(&'a [u8]),
    /// It is complete.
    End,
}

/// Reads frames from bytes that come as they please.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    header: Vec<u8>,
    left: usize,
}

impl Reader {
    /// Reads all of `bytes`, and says what they are.
    pub(crate) fn feed<'a>(
        &mut self,
        mut bytes: &'a [u8],
        mut piece: impl FnMut(Piece<'a>),
    ) -> Result<(), Malformed> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let (payload, rest) = bytes.split_at(self.left.min(bytes.len()));
                piece(Piece::Payload(payload));
                self.left -= payload.len();
                bytes = rest;
            } else {
                let before = self.header.len();
                self.header.extend(bytes.iter().take(MAX_HEADER - before));
                let Some((length, end)) = parse(&self.header)? else { return Ok(()) };
                self.header.clear();
                bytes = bytes.get(end - before..).unwrap_or_default();
                self.left = length;
                piece(Piece::Begin(length));
            }
            if self.left == 0 {
                piece(Piece::End);
            }
        }
        Ok(())
    }
}

/// The payload's length and the header's, once the header is whole.
fn parse(header: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let [first, second, rest @ ..] = header else { return Ok(None) };
    if *first != TEXT {
        return Err(Malformed::Not("whole text message"));
    }
    let key = if second & MASKED != 0 { KEY.len() } else { 0 };
    let (length, size) = match second & !MASKED {
        126 => (rest.first_chunk().map(|bytes| u64::from(u16::from_be_bytes(*bytes))), 2),
        127 => (rest.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)), 8),
        short => (Some(u64::from(short)), 0),
    };
    match length.map(usize::try_from) {
        Some(Err(_)) => Err(Malformed::Not("message of a possible length")),
        Some(Ok(length)) if rest.len() >= size + key => Ok(Some((length, 2 + size + key))),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths of the messages in `bytes`, and how much payload there was, cut into pieces of `size`.
    fn read(bytes: &[u8], size: usize) -> (Vec<usize>, usize, usize) {
        let mut reader = Reader::default();
        let (mut begun, mut payload, mut ended) = (Vec::new(), 0, 0);
        for cut in bytes.chunks(size) {
            reader
                .feed(cut, |piece| match piece {
                    Piece::Begin(length) => begun.push(length),
                    Piece::Payload(bytes) => payload += bytes.len(),
                    Piece::End => ended += 1,
                })
                .unwrap();
        }
        (begun, payload, ended)
    }

    #[test]
    fn what_is_written_is_read_however_it_is_cut() {
        for masked in [false, true] {
            let mut bytes = Vec::new();
            let lengths = [0, 1, 125, 126, 4096, 65_535, 65_536];
            for length in lengths {
                bytes.extend(header(length, masked));
                bytes.extend(vec![b'x'; length]);
            }
            for size in [1, 2, 3, 7, 1000, bytes.len()] {
                assert_eq!(read(&bytes, size), (lengths.to_vec(), lengths.iter().sum(), lengths.len()));
            }
        }
    }

    #[test]
    fn a_close_frame_is_no_message() {
        assert!(Reader::default().feed(&[0x88, 0], |_| ()).is_err());
    }
}
