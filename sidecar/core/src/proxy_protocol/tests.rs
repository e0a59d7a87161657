use super::*;
use proptest::prelude::*;

fn v2(version_command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&V2_SIGNATURE[..], &[version_command, family], &length, payload].concat()
}

fn v2_addresses(source: SocketAddr, target: SocketAddr) -> Vec<u8> {
    let ports = [source.port().to_be_bytes(), target.port().to_be_bytes()].concat();
    match (source.ip(), target.ip()) {
        (IpAddr::V4(source), IpAddr::V4(target)) => [&source.octets()[..], &target.octets(), &ports].concat(),
        (IpAddr::V6(source), IpAddr::V6(target)) => [&source.octets()[..], &target.octets(), &ports].concat(),
        _ => unreachable!(),
    }
}

/// Reads a header whose client speaks right behind it, and checks that every start of it asks for more.
fn read(header: &[u8]) -> Result<Option<SocketAddr>, NotProxied> {
    let whole = [header, b"GET / HTTP/1.1\r\n\r\n"].concat();
    let read = parse(&whole)?.expect("it is whole");
    assert_eq!(read.length, header.len());
    for end in 0..header.len() {
        assert_eq!(parse(&header[..end]), Ok(None), "{end} bytes of {header:?}");
    }
    Ok(read.source)
}

fn at(text: &str) -> Option<SocketAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn version_1_names_the_client() {
    for (line, source) in [
        ("PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n", at("192.0.2.1:56324")),
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", at("255.255.255.255:65535")),
        ("PROXY TCP6 2001:db8::1 2001:db8::2 4124 80\r\n", at("[2001:db8::1]:4124")),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::1 0 80\r\n", at("192.0.2.1:0")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
        ("PROXY UNKNOWN whatever stands here\r\n", None),
    ] {
        assert_eq!(read(line.as_bytes()), Ok(source), "{line}");
    }
    let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(MAX_V1_BYTES - 16));
    assert_eq!((longest.len(), read(longest.as_bytes())), (MAX_V1_BYTES, Ok(None)));
}

#[test]
fn version_1_is_read_strictly() {
    let too_long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(MAX_V1_BYTES - 15));
    for line in [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY tcp4 192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 2 \r\n",
        "PROXY TCP4  192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2.01 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2 10.0.0.1 1 2\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 01 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 -2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 2\nGET / HTTP/1.1\r\n\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 2\n",
        too_long.as_str(),
    ] {
        assert_eq!(parse(line.as_bytes()), Err(NotProxied::V1), "{line:?}");
    }
}

#[test]
fn version_2_names_the_client_and_skips_what_stands_behind() {
    let v4 = v2_addresses("192.0.2.1:56324".parse().unwrap(), "10.0.0.1:443".parse().unwrap());
    let v6 = v2_addresses("[2001:db8::1]:1".parse().unwrap(), "[2001:db8::2]:2".parse().unwrap());
    let mapped = v2_addresses("[::ffff:192.0.2.1]:1".parse().unwrap(), "[::1]:2".parse().unwrap());
    let tlvs = |bytes: usize| [&v4[..], &vec![0xea; bytes]].concat();
    for (header, source) in [
        (v2(0x21, 0x11, &v4), at("192.0.2.1:56324")),
        (v2(0x21, 0x21, &v6), at("[2001:db8::1]:1")),
        (v2(0x21, 0x21, &mapped), at("192.0.2.1:1")),
        (v2(0x21, 0x11, &tlvs(300)), at("192.0.2.1:56324")),
        (v2(0x21, 0x11, &tlvs(2048 - 12)), at("192.0.2.1:56324")),
        // LOCAL: the load balancer itself, such as a health check.
        (v2(0x20, 0x00, &[]), None),
        (v2(0x20, 0x11, &v4), None),
        (v2(0x20, 0x11, &[]), None),
        // Sources that are no TCP client.
        (v2(0x21, 0x00, &[]), None),
        (v2(0x21, 0x00, &[1; 40]), None),
        (v2(0x21, 0x12, &v4), None),
        (v2(0x21, 0x22, &v6), None),
        (v2(0x21, 0x31, &[b'/'; 216]), None),
    ] {
        assert_eq!(read(&header), Ok(source), "{header:?}");
    }
}

#[test]
fn version_2_is_read_strictly() {
    let v4 = v2_addresses("192.0.2.1:1".parse().unwrap(), "10.0.0.1:2".parse().unwrap());
    for header in [
        v2(0x11, 0x11, &v4),
        v2(0x31, 0x11, &v4),
        v2(0x22, 0x11, &v4),
        v2(0x21, 0x41, &v4),
        v2(0x21, 0x13, &v4),
        v2(0x21, 0x11, &v4[..11]),
        v2(0x21, 0x21, &[0; 35]),
        v2(0x21, 0x31, &[0; 215]),
    ] {
        assert_eq!(parse(&header), Err(NotProxied::V2), "{header:?}");
    }
    for length in [2049_u16, u16::MAX] {
        let header = [&V2_SIGNATURE[..], &[0x21, 0x11], &length.to_be_bytes()].concat();
        assert_eq!(parse(&header), Err(NotProxied::TooLong));
    }
}

#[test]
fn what_begins_otherwise_is_no_header() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST",
        b"PROXY\tTCP4",
        b"proxy TCP4 ",
        b"\r\nGET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b" ",
        b"\0",
    ] {
        assert_eq!(parse(bytes), Err(NotProxied::Missing), "{bytes:?}");
    }
    assert_eq!(parse(b""), Ok(None));
}

fn any_address() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    prop_oneof![
        any::<([u8; 4], u16, [u8; 4], u16)>().prop_map(|(a, p, b, q)| ((a, p).into(), (b, q).into())),
        any::<([u8; 16], u16, [u8; 16], u16)>().prop_map(|(a, p, b, q)| ((a, p).into(), (b, q).into())),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read((source, target) in any_address(), tlvs in prop::collection::vec(any::<u8>(), 0..64)) {
        let protocol = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let (from, to) = (source.ip(), target.ip());
        let line = format!("PROXY {protocol} {from} {to} {} {}\r\n", source.port(), target.port());
        let expected = Some(SocketAddr::new(source.ip().to_canonical(), source.port()));
        prop_assert_eq!(read(line.as_bytes()), Ok(expected));
        let family = if source.is_ipv4() { 0x11 } else { 0x21 };
        let payload = [v2_addresses(source, target), tlvs].concat();
        prop_assert_eq!(read(&v2(0x21, family, &payload)), Ok(expected));
    }

    #[test]
    fn any_bytes_have_one_reading_that_more_bytes_do_not_change(
        start in prop_oneof![Just(&b""[..]), Just(&b"PROXY "[..]), Just(&b"PROXY TCP4 "[..]), Just(&V2_SIGNATURE[..])],
        rest in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'1'), Just(b' '), Just(b'.'), Just(b'\r'), Just(b'\n')], 0..160)
    ) {
        let bytes = [start, &rest].concat();
        let whole = parse(&bytes);
        for end in 0..bytes.len() {
            match parse(&bytes[..end]) {
                Ok(None) => {}
                earlier => prop_assert_eq!(earlier, whole),
            }
        }
        if let Ok(Some(header)) = whole {
            prop_assert!(header.length <= bytes.len() && header.length <= MAX_V2_BYTES);
        }
    }
}
