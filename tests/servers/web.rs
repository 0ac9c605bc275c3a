// A web server of Rust's standard library for test_debian.py: a static binary of Debian's rustc. A thread
// serves a connection.
//
//     /          greets
//     /work?n=   n threads sieve primes in memory of their own, wait for each other at a barrier, send their
//                counts over a channel and add them up under a lock: both sums are known
//     /stats     processors
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{mpsc, Arc, Barrier, Mutex};
use std::thread;

const LIMIT: usize = 20000; // there are 2262 primes below

fn primes() -> usize {
    let mut composite = vec![false; LIMIT];
    let mut n = 0;
    for i in 2..LIMIT {
        if composite[i] {
            continue;
        }
        n += 1;
        for k in (i * i..LIMIT).step_by(i) {
            composite[k] = true;
        }
    }
    n
}

fn work(n: usize) -> String {
    let total = Arc::new(Mutex::new(0));
    let barrier = Arc::new(Barrier::new(n));
    let (send, counts) = mpsc::channel();
    let threads: Vec<_> = (0..n)
        .map(|_| {
            let (total, barrier, send) = (total.clone(), barrier.clone(), send.clone());
            thread::spawn(move || {
                let count = primes();
                barrier.wait();
                *total.lock().unwrap() += count;
                send.send(count).unwrap();
            })
        })
        .collect();
    drop(send);
    let sum: usize = counts.iter().sum();
    threads.into_iter().for_each(|t| t.join().unwrap());
    let total = *total.lock().unwrap();
    format!("{} {}\n", sum, total)
}

fn answer(path: &str) -> Option<String> {
    match path.split_once("?n=") {
        Some(("/work", n)) => n.parse().ok().filter(|n| (1..=1000).contains(n)).map(work),
        None if path == "/" => Some("hello from rust\n".to_string()),
        None if path == "/stats" => Some(format!("{}\n", thread::available_parallelism().ok()?)),
        _ => None,
    }
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let reader = BufReader::new(stream.try_clone()?);
    let mut lines = reader.lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while !lines.next().unwrap_or_else(|| Ok(String::new()))?.is_empty() {}
    let (status, body) = match request.split(' ').nth(1).and_then(answer) {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", "?\n".to_string()),
    };
    write!(stream, "HTTP/1.0 {}\r\nContent-Length: {}\r\n\r\n{}", status, body.len(), body)
}

fn main() {
    let listener = TcpListener::bind("[::]:8002").expect("port 8002");
    for stream in listener.incoming().flatten() {
        thread::spawn(move || {
            if let Err(e) = serve(stream) {
                eprintln!("{}", e);
            }
        });
    }
}
