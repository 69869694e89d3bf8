//! The binary.

fn main() {
    let _ = ringbeat::half::run(&mut std::io::stdin().lock(), &mut std::io::stdout().lock());
}
