//! Finds where a WebSocket message ends and the next may begin (RFC 6455 section 5.2).
//!
//! A connection can be ended there without cutting a message in two. [`Messages`] finds these places
//! in what a server says, from its first byte after the 101 on, without keeping or changing any of it.
//!
//! # Invariants
//! - How the bytes are split into reads makes no difference.
//! - Between two fragments of a message is no such place, though control frames may stand there.
//! - What cannot be a server's frames (a reserved opcode, a mask, a control frame that is long or a
//!   fragment) has no such place from there on: Engine.IO's code 5 is a 101 followed by text.
//! - The state is 24 bytes, however long a frame is.

/// A place in a stream of a server's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Messages {
    at: At,
    /// Fragments of a message have passed, and its last one has not.
    fragmented: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    /// Before a frame.
    #[default]
    Frame,
    /// Before the byte with the length, of a control frame or another one.
    Length { control: bool },
    /// In a length of several bytes, of which so many are to come.
    LongLength { left: u8, so_far: u64 },
    /// In a payload, of which so many bytes are to come: at least one.
    Payload(u64),
    /// In what are no frames.
    NoFrames,
}

const FIN: u8 = 0x80;
const CONTROL: u8 = 0x08;
const MASK: u8 = 0x80;
const LONGEST_CONTROL: u8 = 125;

impl Messages {
    /// True between two messages, and before the first.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.at == At::Frame && !self.fragmented
    }

    /// Goes on over `bytes`.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.follow_one(bytes)..];
        }
    }

    /// Goes on over `bytes` up to the next place between two messages, and returns how many of them that
    /// are: all, where there is none.
    #[must_use]
    pub fn follow_one(&mut self, bytes: &[u8]) -> usize {
        let mut followed = 0;
        while let Some(byte) = bytes.get(followed) {
            let left = bytes.len() - followed;
            followed += match &mut self.at {
                At::NoFrames => left,
                At::Payload(payload) => {
                    let own = usize::try_from(*payload).unwrap_or(usize::MAX).min(left);
                    self.at = after_payload(*payload - own as u64);
                    own
                }
                at => {
                    *at = at.follow_header(*byte, &mut self.fragmented);
                    1
                }
            };
            if self.is_between() {
                break;
            }
        }
        followed
    }
}

impl At {
    /// Follows one byte inside of a header.
    fn follow_header(self, byte: u8, fragmented: &mut bool) -> Self {
        match self {
            Self::Frame => {
                let (fin, opcode) = (byte & FIN != 0, byte & 0x0f);
                match opcode {
                    // A continuation continues something, and everything else begins something.
                    0x0 if *fragmented => *fragmented = !fin,
                    0x1 | 0x2 if !*fragmented => *fragmented = !fin,
                    0x8..=0xa if fin => {}
                    _ => return Self::NoFrames,
                }
                Self::Length { control: opcode & CONTROL != 0 }
            }
            Self::Length { control } if byte & MASK != 0 || (control && byte > LONGEST_CONTROL) => {
                Self::NoFrames
            }
            Self::Length { .. } => match byte {
                126 => Self::LongLength { left: 2, so_far: 0 },
                127 => Self::LongLength { left: 8, so_far: 0 },
                short => after_payload(short.into()),
            },
            Self::LongLength { left, so_far } => {
                let so_far = so_far << 8 | u64::from(byte);
                if left > 1 { Self::LongLength { left: left - 1, so_far } } else { after_payload(so_far) }
            }
            Self::Payload(_) | Self::NoFrames => self,
        }
    }
}

fn after_payload(left: u64) -> At {
    if left == 0 { At::Frame } else { At::Payload(left) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match length {
            0..=125 => frame.push(u8::try_from(length).unwrap()),
            126..=0xffff => {
                frame.push(126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        // Payloads that look like headers.
        frame.resize(frame.len() + length, 0x81);
        frame
    }

    fn ends(bytes: &[u8]) -> Vec<usize> {
        let (mut messages, mut at, mut ends) = (Messages::default(), 0, Vec::new());
        while at < bytes.len() {
            at += messages.follow_one(&bytes[at..]);
            if messages.is_between() {
                ends.push(at);
            }
        }
        ends
    }

    #[test]
    fn messages_end_where_their_last_frame_ends() {
        for (what, frames, expected) in [
            ("a text", vec![frame(0x81, 3)], vec![5]),
            ("an empty one", vec![frame(0x81, 0)], vec![2]),
            ("two", vec![frame(0x81, 1), frame(0x82, 2)], vec![3, 7]),
            ("compressed", vec![frame(0xc1, 4)], vec![6]),
            ("the longest short one", vec![frame(0x82, 125)], vec![127]),
            ("two bytes of length", vec![frame(0x82, 126), frame(0x82, 65_535)], vec![130, 65_669]),
            ("eight bytes of length", vec![frame(0x82, 65_536), frame(0x81, 1)], vec![65_546, 65_549]),
            ("three fragments", vec![frame(0x01, 2), frame(0x00, 2), frame(0x80, 2)], vec![12]),
            ("a ping between fragments", vec![frame(0x01, 2), frame(0x89, 1), frame(0x80, 2)], vec![11]),
            ("a close", vec![frame(0x81, 1), frame(0x88, 2)], vec![3, 7]),
        ] {
            assert_eq!(ends(&frames.concat()), expected, "{what}");
        }
    }

    #[test]
    fn what_is_no_frame_of_a_server_has_no_end() {
        for (what, bytes) in [
            ("the text of code 5", &b"Unsupported protocol version"[..]),
            ("a mask", &[0x81, 0x81, 0, 0, 0, 0, b'x']),
            ("a reserved opcode", &[0x83, 0x00, 0x81, 0x00]),
            ("a long ping", &[0x89, 126, 0, 126]),
            ("a fragment of a ping", &[0x09, 0x00]),
            ("a continuation of nothing", &[0x80, 0x00]),
            ("a text inside of a text", &[0x01, 0x00, 0x81, 0x00]),
        ] {
            assert_eq!(ends(bytes), [0; 0], "{what}");
        }
        assert_eq!(ends(&[0x81, 0x00, 0xff, 0x00, 0x81, 0x00]), [2], "from there on");
    }

    #[test]
    fn a_frame_of_any_length_takes_no_more_memory() {
        assert_eq!(size_of::<Messages>(), 24);
        let mut messages = Messages::default();
        messages.follow(&[0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        messages.follow(&[0; 100_000]);
        assert!(!messages.is_between());
    }

    #[test]
    fn it_begins_between_messages() {
        assert!(Messages::default().is_between());
    }

    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        let first = prop_oneof![8 => Just(0x81), 4 => Just(0x82), 2 => Just(0x01), 2 => Just(0x00),
            4 => Just(0x80), 2 => Just(0x89), 1 => any::<u8>()];
        let length = prop_oneof![6 => 0..126_usize, 2 => 126..400_usize, 1 => 65_530..65_540_usize];
        (first, length).prop_map(|(first, length)| frame(first, length))
    }

    proptest! {
        #[test]
        fn any_split_has_the_same_places(frames in vec(any_frame(), 0..8), cuts in vec(any::<prop::sample::Index>(), 0..12)) {
            let bytes = frames.concat();
            let whole = ends(&bytes);
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let (mut split, mut found, mut last) = (Messages::default(), Vec::new(), 0);
            for cut in cuts.into_iter().chain([bytes.len()]) {
                while last < cut {
                    last += split.follow_one(&bytes[last..cut]);
                    if split.is_between() {
                        found.push(last);
                    }
                }
            }
            prop_assert_eq!(&found, &whole);
            let mut at_once = Messages::default();
            at_once.follow(&bytes);
            prop_assert_eq!(at_once, split);
        }
    }
}
