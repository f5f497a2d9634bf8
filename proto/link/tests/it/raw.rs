//! A peer that implements QUIC and TLS only, without any of this project's code, as a stranger
//! would.

use std::{net::SocketAddr, sync::Arc};

use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, ServerConfig, TransportConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::{
        ResolvesClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
    sign::CertifiedKey,
    version::TLS13,
};

use crate::ends::here;

/// A connection to `gateway` by a peer with the secret key `secret`, or without a key.
pub(crate) async fn connect(
    gateway: SocketAddr,
    secret: Option<[u8; 32]>,
    alpn: &[u8],
    transport: TransportConfig,
) -> Result<(Endpoint, Connection), ConnectionError> {
    let mut config = ClientConfig::new(Arc::new(client(secret, alpn)));
    config.transport_config(Arc::new(transport));
    let endpoint = Endpoint::client(here()).unwrap();
    let connection = endpoint.connect_with(config, gateway, "any").unwrap().await?;
    Ok((endpoint, connection))
}

/// A server that accepts every client of the protocol `alpn`.
pub(crate) fn server(secret: [u8; 32], alpn: &[u8]) -> Endpoint {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let resolver = rustls::server::AlwaysResolvesServerRawPublicKeys::new(key(&provider, secret));
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::new(AnyKey(provider)))
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![alpn.to_vec()];
    let config = QuicServerConfig::try_from(config).unwrap();
    Endpoint::server(ServerConfig::with_crypto(Arc::new(config)), here()).unwrap()
}

fn client(secret: Option<[u8; 32]>, alpn: &[u8]) -> QuicClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey(Arc::clone(&provider))));
    let mut config = match secret {
        None => config.with_client_cert_resolver(Arc::new(NoKey)),
        Some(secret) => {
            let key = key(&provider, secret);
            let resolver = rustls::client::AlwaysResolvesClientRawPublicKeys::new(key);
            config.with_client_cert_resolver(Arc::new(resolver))
        }
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    QuicClientConfig::try_from(config).unwrap()
}

fn key(provider: &CryptoProvider, secret: [u8; 32]) -> Arc<CertifiedKey> {
    let pkcs8 =
        [b"\x30\x2e\x02\x01\0\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".as_slice(), &secret];
    let private = PrivateKeyDer::Pkcs8(pkcs8.concat().into());
    let private = provider.key_provider.load_private_key(private).unwrap();
    let public = CertificateDer::from(private.public_key().unwrap().to_vec());
    Arc::new(CertifiedKey::new(vec![public], private))
}

/// Announces a raw key and then presents none.
#[derive(Debug)]
struct NoKey;

impl ResolvesClientCert for NoKey {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }
    fn only_raw_public_keys(&self) -> bool {
        true
    }
    fn has_certs(&self) -> bool {
        true
    }
}

/// Accepts every key.
#[derive(Debug)]
struct AnyKey(Arc<CryptoProvider>);

impl AnyKey {
    fn verify(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
    }
}

impl ServerCertVerifier for AnyKey {
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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        unreachable!("TLS 1.3 only")
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, key, signature)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        unreachable!("TLS 1.3 only")
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, key, signature)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
