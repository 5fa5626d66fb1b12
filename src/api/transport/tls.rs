//! Whom we trust and who we are, from the files that the configuration names.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::config::{self, Connection};
use crate::error::{Context, Error, Result};
use crate::exit::Exit;

/// Whom we trust and who we are. What is made of it is made when the first connection needs it.
#[derive(Debug)]
pub struct Tls {
    /// Certificates that are trusted besides the bundled authorities.
    own: Vec<CertificateDer<'static>>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    verify: bool,
    made: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    /// What the configuration says of TLS. Errors (exit 2) name key and file, because what is wrong here would
    /// otherwise show as an API that cannot be reached, or not at all.
    pub fn new(connection: &Connection) -> Result<Tls> {
        let client = connection.client_cert.as_ref().map(client_cert).transpose()?;
        let own = trusted(connection.ca_file.as_deref())?;
        Ok(Tls { own, client, verify: connection.verify_ssl, made: OnceLock::new() })
    }

    /// The same for the library that speaks TLS.
    pub fn config(&self) -> std::result::Result<Arc<ClientConfig>, rustls::Error> {
        if let Some(made) = self.made.get() {
            return Ok(made.clone());
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier::new(self, provider.clone())?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match &self.client {
            None => config.with_no_client_auth(),
            Some((chain, key)) => config.with_client_auth_cert(chain.clone(), key.clone_key())?,
        };
        Ok(self.made.get_or_init(|| Arc::new(config)).clone())
    }
}

/// What is to be done about a certificate that was refused, where that is not plain from what the library says.
pub fn advice(wrong: &rustls::Error) -> Option<&'static str> {
    is_authority_as_server(wrong).then_some(
        "it is the certificate of an authority, used as that of a server. To trust just this one, name a file that holds \
         it in connection.ca_file. Or make one for a server: openssl req -x509 -addext basicConstraints=critical,CA:FALSE \
         -addext subjectAltName=DNS:HOST",
    )
}

fn is_authority_as_server(wrong: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = wrong else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// Verifies hosts as usual, with one exception: a certificate that `connection.ca_file` holds to the byte is trusted as a
/// host's own, even if it says that it is an authority's, as all that plain `openssl req -x509` makes do. Its name, its time
/// and that the host has its key are verified all the same.
#[derive(Debug)]
struct Verifier {
    usual: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
    verify: bool,
}

impl Verifier {
    fn new(tls: &Tls, provider: Arc<CryptoProvider>) -> std::result::Result<Verifier, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().chain(&tls.own).cloned());
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let usual = usual.map_err(|wrong| rustls::Error::General(wrong.to_string()))?;
        Ok(Verifier { usual, own: tls.own.clone(), verify: tls.verify })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        if !self.verify {
            return Ok(ServerCertVerified::assertion());
        }
        match self.usual.verify_server_cert(certificate, others, name, ocsp, now) {
            // This is found after the time was looked at, and before the name is.
            Err(wrong) if is_authority_as_server(&wrong) && self.own.contains(certificate) => {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        match self.verify {
            true => self.usual.verify_tls12_signature(message, certificate, signed),
            false => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        match self.verify {
            true => self.usual.verify_tls13_signature(message, certificate, signed),
            false => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// The certificates of a file that are trusted besides the bundled ones; none if there is no file.
fn trusted(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>> {
    const KEY: &str = "connection.ca_file";
    let Some(file) = file else { return Ok(Vec::new()) };
    let own = certificates(KEY, file)?;
    for (index, certificate) in own.iter().enumerate() {
        let told = || format!("{KEY}: {}: certificate {} cannot be used", file.display(), index + 1);
        RootCertStore::empty().add(certificate.clone()).or_stop(Exit::Usage, told)?;
    }
    Ok(own)
}

/// A certificate of ours, with those that lead from it to an authority, and the key that belongs to it.
fn client_cert(ours: &config::ClientCert) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    const KEY: &str = "connection.client_key";
    let chain = certificates("connection.client_cert", &ours.certificate)?;
    let shown = ours.key.display();
    let pem = read(KEY, &ours.key)?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| Error::usage(format!("{KEY}: {shown} holds no private key in PEM that is not encrypted")))?;
    let leaf = ours.certificate.display();
    CertifiedKey::from_der(chain.clone(), key.clone_key(), &ring::default_provider())
        .or_stop(Exit::Usage, || format!("{KEY}: {shown} is not the key of the certificate in {leaf}"))?;
    Ok((chain, key))
}

/// The certificates of a file, at least one.
fn certificates(key: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let pem = read(key, file)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|wrong| Error::usage(format!("{key}: {} is no PEM: {wrong}", file.display())))?;
    match found.is_empty() {
        true => Err(Error::usage(format!("{key}: {} holds no certificate in PEM", file.display()))),
        false => Ok(found),
    }
}

fn read(key: &str, file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).or_stop(Exit::Usage, || format!("{key}: cannot read {}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::api::testing::connection;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/self-signed-host").join(name)
    }

    fn fault(set: impl FnOnce(&mut Connection)) -> String {
        let mut connection = connection();
        set(&mut connection);
        let error = Tls::new(&connection).err().unwrap();
        assert_eq!(error.exit(), Exit::Usage);
        error.to_string()
    }

    /// What a verifier says of a certificate of the fixtures, which is for localhost and 127.0.0.1.
    fn verified(connection: &Connection, name: &'static str, seconds: u64) -> std::result::Result<(), rustls::Error> {
        let tls = Tls::new(connection).unwrap();
        let verifier = Verifier::new(&tls, Arc::new(ring::default_provider())).unwrap();
        let certificate = &certificates("", &fixture("certificate.pem")).unwrap()[0];
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        verifier.verify_server_cert(certificate, &[], &name.try_into().unwrap(), &[], now).map(drop)
    }

    /// When the certificate of the fixtures begins and ends to be valid.
    const VALID: [u64; 2] = [1_795_356_367, 4_948_956_367];

    #[test]
    fn an_authoritys_certificate_is_trusted_as_a_servers_only_if_ca_file_holds_it_and_name_and_time_are_right() {
        let own = Connection { ca_file: Some(fixture("certificate.pem")), ..connection() };
        for at in VALID {
            for name in ["localhost", "127.0.0.1"] {
                assert_eq!(verified(&own, name, at), Ok(()), "{name} at {at}");
            }
        }
        for name in ["example.com", "127.0.0.2", "sub.localhost"] {
            let wrong = verified(&own, name, VALID[0]).unwrap_err().to_string();
            assert!(wrong.contains("not valid for name"), "{name}: {wrong}");
        }
        let early = verified(&own, "localhost", VALID[0] - 1).unwrap_err().to_string();
        let late = verified(&own, "localhost", VALID[1] + 1).unwrap_err().to_string();
        assert!(early.contains("not valid yet") && late.contains("expired"), "{early}; {late}");
        let unknown = verified(&connection(), "localhost", VALID[0]).unwrap_err();
        assert!(is_authority_as_server(&unknown) && advice(&unknown).is_some_and(|told| told.contains("ca_file")));
    }

    #[test]
    fn a_wrong_file_is_named_with_its_key() {
        let missing = fault(|c| c.ca_file = Some("no-such.pem".into()));
        assert!(missing.starts_with("connection.ca_file: cannot read no-such.pem: "), "{missing}");
        let key = fault(|c| c.ca_file = Some(fixture("key.pem")));
        assert!(key.ends_with("key.pem holds no certificate in PEM"), "{key}");
        let swapped = config::ClientCert { certificate: fixture("certificate.pem"), key: fixture("certificate.pem") };
        let swapped = fault(|c| c.client_cert = Some(swapped));
        assert!(swapped.starts_with("connection.client_key: ") && swapped.contains("no private key"), "{swapped}");
    }
}
