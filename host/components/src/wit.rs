//! The contract as text, and complete worlds for components, for tools that write them out.

/// The files of the package `session3:sessions`. The first one names the package, so that
/// all of them together are one text, too.
pub const CONTRACT: [(&str, &str); 9] = [
    (
        "session-types.wit",
        include_str!("../wit/session-types.wit"),
    ),
    ("manager.wit", include_str!("../wit/manager.wit")),
    ("store.wit", include_str!("../wit/store.wit")),
    ("events.wit", include_str!("../wit/events.wit")),
    ("admin.wit", include_str!("../wit/admin.wit")),
    ("reuse.wit", include_str!("../wit/reuse.wit")),
    ("current.wit", include_str!("../wit/current.wit")),
    ("context.wit", include_str!("../wit/context.wit")),
    ("worlds.wit", include_str!("../wit/worlds.wit")),
];

/// The name of the file that wkg reads.
pub const MANIFEST: &str = "wkg.toml";

/// What wkg adds to a package that it publishes.
const METADATA: &str = include_str!("../wit/wkg.toml");

/// A world with everything that a component of its kind imports and exports.
///
/// ```
/// use session3_components::wit::WORLDS;
///
/// let world = WORLDS.iter().find(|world| world.name == "application");
/// let files = world.expect("a world").files();
/// assert!(files.iter().any(|(name, _)| name == "deps/wasi-http.wit"));
/// ```
pub struct World {
    /// Its name in the package `session3:worlds`.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub summary: &'static str,
    /// The file with the world.
    pub text: &'static str,
    wasi: Wasi,
}

/// The packages of WASI that a world uses.
#[derive(Clone, Copy)]
enum Wasi {
    None,
    /// WASI 0.2 in this version.
    Wasi02(&'static str),
    Wasi03,
}

/// The version in the texts of WASI 0.2.
const WASI_02: &str = "0.2.6";
/// The version in which StarlingMonkey, the engine of jco, answers requests.
const WASI_02_OF_JCO: &str = "0.2.10";

/// The complete worlds.
pub const WORLDS: [World; 6] = [
    World {
        name: "application",
        summary: "A web application for WASI 0.2, in Rust, C, Python and other languages",
        text: include_str!("../wit/worlds/application.wit"),
        wasi: Wasi::Wasi02(WASI_02),
    },
    World {
        name: "application-javascript",
        summary: "A web application for WASI 0.2 in JavaScript, with the version that jco takes",
        text: include_str!("../wit/worlds/application-javascript.wit"),
        wasi: Wasi::Wasi02(WASI_02_OF_JCO),
    },
    World {
        name: "application-wasi03",
        summary: "A web application for WASI 0.3",
        text: include_str!("../wit/worlds/application-wasi03.wit"),
        wasi: Wasi::Wasi03,
    },
    World {
        name: "application-behind-middleware",
        summary: "A web application for WASI 0.3 that is served with --middleware",
        text: include_str!("../wit/worlds/application-behind-middleware.wit"),
        wasi: Wasi::Wasi03,
    },
    World {
        name: "administration",
        summary: "A web application for WASI 0.2 that is served with --grant admin",
        text: include_str!("../wit/worlds/administration.wit"),
        wasi: Wasi::Wasi02(WASI_02),
    },
    World {
        name: "store-provider",
        summary: "A store, for --store-component",
        text: include_str!("../wit/worlds/store-provider.wit"),
        wasi: Wasi::None,
    },
];

impl World {
    /// Returns the files of a WIT directory with this world, its dependencies and a manifest
    /// for wkg: their paths in that directory, and their texts.
    pub fn files(&self) -> Vec<(String, String)> {
        let wasi = self.wasi.files();
        let contract = CONTRACT.map(|(name, text)| {
            let name = format!("deps/session3-sessions/{name}");
            (name, text.to_owned())
        });
        let mut files = vec![
            ("world.wit".to_owned(), self.text.to_owned()),
            (MANIFEST.to_owned(), manifest(&wasi)),
        ];
        files.extend(contract);
        files.extend(
            wasi.into_iter()
                .map(|(package, text)| (path(package), text)),
        );
        files
    }
}

/// Returns the files of a WIT directory with the contract alone, as [`World::files`] does.
pub fn contract() -> Vec<(String, String)> {
    let mut files = vec![(MANIFEST.to_owned(), METADATA.to_owned())];
    files.extend(CONTRACT.map(|(name, text)| (name.to_owned(), text.to_owned())));
    files
}

impl Wasi {
    /// Returns the packages: their names without namespace and version, and their texts.
    fn files(self) -> Vec<(&'static str, String)> {
        match self {
            Self::None => Vec::new(),
            Self::Wasi02(version) => {
                let packages = [
                    ("clocks", include_str!("../wit/deps/wasi-clocks.wit")),
                    ("http", include_str!("../wit/deps/wasi-http.wit")),
                    ("io", include_str!("../wit/deps/wasi-io.wit")),
                ];
                // Versions of WASI 0.2 differ in what they add, and these interfaces have got
                // nothing new since.
                let (old, new) = (format!("@{WASI_02}"), format!("@{version}"));
                let packages = packages.map(|(name, text)| (name, text.replace(&old, &new)));
                packages.to_vec()
            }
            Self::Wasi03 => vec![
                (
                    "clocks",
                    include_str!("../wit/wasi-0.3/wasi-clocks.wit").to_owned(),
                ),
                (
                    "http",
                    include_str!("../wit/wasi-0.3/wasi-http.wit").to_owned(),
                ),
            ],
        }
    }
}

fn path(package: &str) -> String {
    format!("deps/wasi-{package}.wit")
}

/// Returns the manifest of a world. With it, wkg takes the dependencies from their files
/// instead of from a registry.
fn manifest(wasi: &[(&str, String)]) -> String {
    let mut overrides =
        "[overrides]\n\"session3:sessions\" = { path = \"deps/session3-sessions\" }\n".to_owned();
    for (package, _) in wasi {
        overrides += &format!("\"wasi:{package}\" = {{ path = \"{}\" }}\n", path(package));
    }
    format!("{METADATA}\n{overrides}")
}
