use super::*;
use crate::pprof::{Function, Location, Profile, Sample, ValueType, write};
use crate::recording::{Image, Process};

fn profile(program: &str, time_ns: i64) -> Vec<u8> {
    write(&Profile {
        types: vec![ValueType { kind: "delay".into(), unit: "nanoseconds".into() }],
        functions: vec![Function { name: "main.lock".into(), file: "/src/main.go".into(), first_line: 9 }],
        locations: vec![Location { lines: vec![(0, 11)] }],
        samples: vec![Sample { locations: vec![0], values: vec![7], labels: vec![] }],
        time_ns,
        duration_ns: 1_000_000,
        program: program.into(),
        ..Profile::default()
    })
}

fn recording(programs: &[&str]) -> Recording {
    let process = |(at, program): (usize, &&str)| Process {
        pid: 10 + at as u32,
        parent: None,
        born: Nanos(0),
        died: None,
        ending: None,
        images: vec![Image {
            at: Nanos(0),
            comm: "p".into(),
            executable: (*program).into(),
            arguments: vec![],
            working_directory: String::new(),
            service_name: None,
            surroundings: None,
        }],
        own_name: None,
        cpu: Nanos(0),
    };
    let mut recording =
        Recording { processes: programs.iter().enumerate().map(process).collect(), ..Recording::default() };
    recording.meta.wall = Nanos(60_000_000_000);
    recording
}

fn finished(path: &Path, reader: Reader, programs: &[&str]) -> Recording {
    let mut recording = recording(programs);
    let origin = reader.began.monotonic;
    assert_eq!(reader.files, [path]);
    reader.finish(origin, &mut recording);
    recording
}

#[test]
fn a_file_of_this_run_is_its_processes_and_an_older_one_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("block.pb.gz");
    let begin = || Reader::begin(&[ProfileSource::File(path.clone())], None);
    let reader = begin();
    std::fs::write(&path, profile("/srv/app", i64::try_from(nanos(SystemTime::now())).expect("now"))).expect("written");
    let recording = finished(&path, reader, &["/bin/sh", "/srv/app"]);
    let [own] = &recording.own_profiles[..] else { panic!("{:?}", recording.meta.notes) };
    assert_eq!((own.process, own.readings, own.covered), (Some(ProcessId(1)), 1, Nanos(1_000_000)));
    assert_eq!(own.kinds[0].functions[0].own, 7);
    assert!(own.span.is_some_and(|(from, to)| from <= to && to < Nanos(30_000_000_000)));
    // Two that run it: nobody knows which.
    let recording = finished(&path, begin(), &["/srv/app", "/srv/app"]);
    assert_eq!(recording.own_profiles[0].process, None);
    // Of an hour ago, though it was copied just now.
    let old = nanos(SystemTime::now()) - 3_600_000_000_000;
    std::fs::write(&path, profile("/srv/app", i64::try_from(old).expect("an hour ago"))).expect("written");
    let recording = finished(&path, begin(), &["/srv/app"]);
    assert!(recording.own_profiles.is_empty());
    assert!(recording.meta.notes[0].contains("before this run"), "{:?}", recording.meta.notes);
    std::fs::remove_file(&path).expect("removed");
    let recording = finished(&path, begin(), &[]);
    assert_eq!((recording.own_profiles.len(), recording.meta.notes.len()), (0, 1));
}

#[test]
fn an_address_is_asked_until_the_run_ends() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("a port").port();
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = [0; 512];
        let count = stream.read(&mut request).expect("a request");
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").expect("written");
        stream.write_all(&profile("", 0)).expect("written");
        drop(stream);
        // The second reading is under way when the run ends.
        let (second, _) = listener.accept().expect("a client");
        (String::from_utf8_lossy(&request[..count]).into_owned(), second)
    });
    let typed = [format!("http://127.0.0.1:{port}/debug/pprof/block")];
    let sources = sources(&typed, Path::new("/")).expect("sources");
    let reader = Reader::begin(&sources, None);
    let (request, _second) = served.join().expect("served");
    assert!(request.starts_with("GET /debug/pprof/block?seconds=1 HTTP/1.0\r\n"), "{request}");
    let mut recording = recording(&[]);
    let origin = reader.began.monotonic;
    reader.finish(origin, &mut recording);
    assert_eq!(recording.own_profiles[0].readings, 1, "{:?}", recording.meta.notes);
    assert!(recording.meta.notes.is_empty(), "{:?}", recording.meta.notes);
}

#[test]
fn what_cannot_be_asked_is_refused_before_the_run() {
    let refused = |text: &str| sources(&[text.to_owned()], Path::new("/")).expect_err("refused").exit_code();
    assert_eq!(refused("https://host/debug/pprof/profile"), 2);
    assert_eq!(refused("ftp://host/x"), 2);
    let nine = vec!["a.pb.gz".to_owned(); 9];
    assert!(sources(&nine, Path::new("/")).is_err());
    let file = sources(&["a.pb.gz".to_owned()], Path::new("/srv")).expect("a file");
    assert_eq!(file, [ProfileSource::File("/srv/a.pb.gz".into())]);
}
