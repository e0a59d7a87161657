//! Tells the linker to pack relative relocations (DT_RELR, which glibc knows since 2.36): 230 KB of them
//! become 2 KB, all of which the loader reads at start and which would stay in memory. A linker that does
//! not know the option ignores it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
