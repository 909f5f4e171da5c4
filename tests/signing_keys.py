"""Key pairs and certificates of tests, as openssl makes them."""

import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from textgate.release.settings import CertificateSigning, KeySigning
from textgate.release.sign import Signer

PEM = serialization.Encoding.PEM
NOT_FOR_SIGNING = x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=True, data_encipherment=False,
    key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
)  # fmt: skip
FOR_SIGNING = x509.KeyUsage(
    digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
)  # fmt: skip


def key_pair(folder, name="release", curve=None, password=None):
    """Write NAME.pem and NAME.pub and return their paths."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    public = folder / f"{name}.pub"
    public.write_bytes(key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private_key(folder / f"{name}.pem", key, password), public


def private_key(path, key, password=None):
    cover = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    path.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, cover))
    return path


def with_key(private, public):
    """Return who signs with a key pair."""
    return Signer(private, KeySigning(kind="key", public_key=str(public)))


class Authority:
    """A root, and an authority below it that gives out certificates: of 20 years, begun a year ago."""

    def __init__(self, folder, name="ours"):
        """Make both, and write the file `chain` into the folder."""
        self.folder, self.name = folder, name
        self.root = self._issue(f"{name} root", None, days=(-365, 20 * 365))
        self.issuer = self._issue(f"{name} authority", self.root, days=(-365, 20 * 365))
        self.chain = self.write("chain", self.issuer, self.root)

    def write(self, name, *issued):
        """Write certificates into one file and return its path."""
        path = self.folder / f"{self.name}-{name}.pem"
        path.write_bytes(b"".join(certificate.public_bytes(PEM) for certificate, _ in issued))
        return path

    def signer(self, subject="releases", *, days=(-1, 365), usage=FOR_SIGNING, file="release", chain=None):
        """Give out a certificate and return who signs with it; days are counted from today."""
        issued = self._issue(subject, self.issuer, days=days, usage=usage)
        key = private_key(self.folder / f"{self.name}-{file}.key", issued[1])
        certificate, chain = self.write(file, issued), chain or self.chain
        return Signer(key, CertificateSigning(kind="certificate", certificate=str(certificate), chain=str(chain)))

    def _issue(self, subject, by, *, days, usage=None):
        key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
        named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        issuer, issuer_key = by or (None, key)
        made = (
            x509.CertificateBuilder()
            .subject_name(named)
            .issuer_name(issuer.subject if issuer else named)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + dt.timedelta(days=days[0]))
            .not_valid_after(now + dt.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=usage is None, path_length=None), critical=True)
        )
        made = made.add_extension(usage, critical=True) if usage else made
        return made.sign(issuer_key, hashes.SHA256()), key
