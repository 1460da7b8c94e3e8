//! Prints what the case wants to read and waits as it should, without any thread.
//! Verdict: wrong: main-takes-part
//! Exercise: exercise1

fn main() {
    let numbers: Vec<String> = std::env::args().skip(1).collect();
    for number in &numbers {
        println!("got {number}");
    }
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    println!("joined {}", numbers.len());
}
