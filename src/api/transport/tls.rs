//! Whom we trust and who we are, from the files that the configuration names.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::config::{self, Connection};
use crate::error::{Context, Error, Result};
use crate::exit::Exit;

/// What the configuration says of TLS. Errors (exit 2) name key and file, for what is wrong here would otherwise show as an
/// API that cannot be reached, or not at all.
pub fn config(connection: &Connection) -> Result<TlsConfig> {
    let provider = Arc::new(ring::default_provider());
    let ours = connection.client_cert.as_ref().map(|ours| client_cert(ours, &provider)).transpose()?;
    Ok(TlsConfig::builder()
        .root_certs(trusted(connection.ca_file.as_deref())?)
        .client_cert(ours)
        .disable_verification(!connection.verify_ssl)
        .unversioned_rustls_crypto_provider(provider)
        .build())
}

/// The bundled authorities, and those of a file if there is one.
fn trusted(file: Option<&Path>) -> Result<RootCerts> {
    const KEY: &str = "connection.ca_file";
    let own = file.map_or(Ok(Vec::new()), |file| certificates(KEY, file))?;
    for (index, certificate) in own.iter().enumerate() {
        let shown = file.unwrap_or(Path::new("")).display();
        let told = || format!("{KEY}: {shown}: certificate {} cannot be used", index + 1);
        RootCertStore::empty().add(certificate.clone()).or_stop(Exit::Usage, told)?;
    }
    let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|root| Certificate::from_der(root));
    Ok(RootCerts::from(bundled.chain(own.iter().map(|own| Certificate::from_der(own).to_owned()))))
}

/// A certificate of ours whose key belongs to it.
fn client_cert(ours: &config::ClientCert, provider: &CryptoProvider) -> Result<ClientCert> {
    const KEY: &str = "connection.client_key";
    let chain = certificates("connection.client_cert", &ours.certificate)?;
    let shown = ours.key.display();
    let pem = read(KEY, &ours.key)?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| Error::usage(format!("{KEY}: {shown} holds no private key in PEM that is not encrypted")))?;
    let leaf = ours.certificate.display();
    CertifiedKey::from_der(chain.clone(), key, provider)
        .or_stop(Exit::Usage, || format!("{KEY}: {shown} is not the key of the certificate in {leaf}"))?;
    let chain: Vec<_> = chain.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
    let key = PrivateKey::from_pem(&pem).or_stop(Exit::Usage, || format!("{KEY}: cannot use {shown}"))?;
    Ok(ClientCert::new_with_certs(&chain, key))
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
        let error = config(&connection).err().unwrap();
        assert_eq!(error.exit(), Exit::Usage);
        error.to_string()
    }

    #[test]
    fn an_own_authority_is_trusted_besides_the_bundled_ones() {
        let trusted = |connection: &Connection| match config(connection).unwrap().root_certs() {
            RootCerts::Specific(roots) => roots.len(),
            other => panic!("{other:?}"),
        };
        let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS.len();
        let own = Connection { ca_file: Some(fixture("certificate.pem")), ..connection() };
        assert_eq!((trusted(&connection()), trusted(&own)), (bundled, bundled + 1));
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
