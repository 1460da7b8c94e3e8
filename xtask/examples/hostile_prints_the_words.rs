//! Prints what the case wants to read, in the right order, without any thread.
//! Verdict: wrong: output

use std::io::BufRead;

fn main() {
    // The slow job may be done last.
    let mut slow = "";
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match line.as_str() {
            "wait" => println!("{}idle", std::mem::take(&mut slow)),
            "slow" => slow = "slow: 3 bytes\n",
            "quick" => println!("quick: 5 bytes"),
            name => println!("{name}: 1 bytes"),
        }
    }
    print!("{slow}");
}
