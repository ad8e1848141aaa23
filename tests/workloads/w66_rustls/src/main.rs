//! HTTPS requests over rustls: twelve on one connection, three on connections of their own, four at once on threads, a large
//! answer, a large body up in pieces (`write_vectored`).

use std::{
    io::{self, IoSlice, Read, Write},
    net::TcpStream,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{self, CryptoProvider},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

/// The server's certificate is one for signing others, which rustls refuses by itself; the signatures are looked at.
#[derive(Debug)]
struct AnyCertificate(CryptoProvider);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn open(config: &Arc<ClientConfig>, port: u16) -> Tls {
    let name = "localhost".try_into().expect("a name");
    let client = ClientConnection::new(config.clone(), name).expect("a connection");
    StreamOwned::new(client, TcpStream::connect(("127.0.0.1", port)).expect("connect"))
}

/// One answer with a content-length.
#[inline(never)]
fn read_answer(stream: &mut Tls) -> io::Result<usize> {
    let (mut seen, mut block) = (Vec::new(), [0; 8192]);
    loop {
        let count = stream.read(&mut block)?;
        assert_ne!(count, 0, "the end came early");
        seen.extend_from_slice(&block[..count]);
        let text = String::from_utf8_lossy(&seen);
        let Some(head) = text.find("\r\n\r\n") else { continue };
        let length = text.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        let length: usize = length.trim().parse().expect("a number");
        if seen.len() >= head + 4 + length {
            return Ok(length);
        }
    }
}

#[inline(never)]
fn get(stream: &mut Tls, path: &str) -> usize {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("ask");
    stream.flush().expect("flush");
    read_answer(stream).expect("an answer")
}

#[inline(never)]
fn post(stream: &mut Tls, body: &[u8]) -> usize {
    let head = format!("POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    let first = stream.write_vectored(&[IoSlice::new(head.as_bytes()), IoSlice::new(body)]).expect("send");
    assert!(first >= head.len());
    stream.write_all(&body[first - head.len()..]).expect("send the rest");
    stream.flush().expect("flush");
    read_answer(stream).expect("an answer")
}

fn main() {
    let port = std::env::args().nth(2).expect("a certificate and a port").parse().expect("a port");
    let any = Arc::new(AnyCertificate(crypto::ring::default_provider()));
    let config = ClientConfig::builder().dangerous().with_custom_certificate_verifier(any).with_no_client_auth();
    let config = Arc::new(config);
    let mut kept = open(&config, port);
    for number in 0..12 {
        get(&mut kept, &format!("/s/{number}"));
    }
    for number in 0..3 {
        get(&mut open(&config, port), &format!("/n/{number}"));
    }
    std::thread::scope(|scope| {
        for number in 0..4 {
            let config = &config;
            scope.spawn(move || get(&mut open(config, port), &format!("/p/{number}")));
        }
    });
    assert_eq!(get(&mut kept, "/big"), 300_000);
    post(&mut kept, &vec![b'b'; 300_000]);
}
