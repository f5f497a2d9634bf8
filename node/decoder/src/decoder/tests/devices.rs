//! The same model code on the devices that this build has a backend for and this machine a driver.

use std::io::{Write as _, stderr};

use super::*;

/// Of those that burn finds: a software adapter counts, such as Mesa's lavapipe for Vulkan.
fn devices() -> Vec<(DeviceKind, Device)> {
    let kinds = [DeviceKind::Wgpu, DeviceKind::Cuda, DeviceKind::Metal];
    let devices = kinds.into_iter().filter_map(|kind| match kind.device() {
        Ok(device) => Some((kind, device)),
        Err(why) => {
            // Not `eprintln!`: the test harness would capture the line.
            writeln!(stderr(), "skipped: {why}").unwrap();
            None
        }
    });
    devices.collect()
}

#[test]
fn every_architecture_computes_what_transformers_does_on_every_device() {
    for (kind, device) in devices() {
        for fixture in fixtures() {
            let (shape, weights) = read_packed(&fixture, Format::F32);
            let mut decoder = tensors(shape, &weights, &device);
            check_results(&kind.to_string(), &fixture, &mut decoder);
        }
    }
}

/// Weights that are codes in the file, and sequences that share a step.
#[test]
fn quantised_weights_give_the_numbers_of_the_processor() {
    for (kind, device) in devices() {
        for format in [Format::Q8, Format::Q4Min, Format::Q4K, Format::Q6K] {
            let fixture = fixture("gemma3");
            let [_, mut reference] = decoders(&fixture, format);
            let (shape, weights) = read_packed(&fixture, format);
            let mut decoder: Box<dyn Decode> = Box::new(tensors(shape, &weights, &device));
            let reference = logits(&fixture, &mut *reference);
            let got = logits(&fixture, &mut *decoder);
            let apart = furthest(&got, &reference);
            assert!(apart <= 1e-4, "{kind} {format:?}: {apart}");
        }
    }
}

fn logits(fixture: &Fixture, decoder: &mut dyn Decode) -> Vec<f32> {
    decoder.reserve(12);
    let (head, tail) = fixture.prompt.split_at(13);
    step(decoder, &[(head, 0, &[3, 1], Want::Last), (tail, 0, &[2, 7, 5], Want::All)])
}
