//! `cargo fuzz run headers`; without cargo-fuzz, replays the files that it is given.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| pylon_webhooks_fuzz::headers(data));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    pylon_webhooks_fuzz::replay(pylon_webhooks_fuzz::headers)
}
