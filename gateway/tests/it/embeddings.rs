//! Texts into vectors.

use serde_json::{Value, json};

use crate::gateway::{Gateway, node};

const PATH: &str = "/v1/embeddings";

fn numbers(embedding: &Value) -> Vec<f64> {
    embedding["embedding"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// The vector that scripted members return for a text.
fn direction(text: &str) -> [f64; 3] {
    let length = text.len() as f64;
    let norm = (length * length + 5.0).sqrt();
    [length / norm, 1.0 / norm, 2.0 / norm]
}

fn close(got: &[f64], vector: &[f64]) -> bool {
    got.len() == vector.len() && got.iter().zip(vector).all(|(x, y)| (x - y).abs() < 1e-6)
}

#[tokio::test]
async fn every_text_has_its_vector_in_order_however_many_pieces_it_takes() {
    let nodes = [node("vectors").embeds(), node("vectors").embeds(), node("words").says("x")];
    let gateway = Gateway::start(nodes).await;
    let inputs: Vec<String> = (1..=300).map(|at| "x".repeat(at)).collect();
    for model in ["shoal", "vectors"] {
        let reply = gateway.post(PATH, &json!({"model": model, "input": inputs})).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let body = reply.json();
        assert_eq!((&body["object"], &body["model"]), (&json!("list"), &json!("vectors")));
        assert_eq!(body["usage"], json!({"prompt_tokens": 300, "total_tokens": 300}));
        let data = body["data"].as_array().unwrap();
        assert_eq!(data.len(), 300);
        for (index, (entry, text)) in data.iter().zip(&inputs).enumerate() {
            assert_eq!((&entry["object"], &entry["index"]), (&json!("embedding"), &json!(index)));
            assert!(close(&numbers(entry), &direction(text)), "{entry}");
        }
    }
}

#[tokio::test]
async fn token_numbers_of_openais_tokenizer_are_the_text_that_they_stand_for() {
    let gateway = Gateway::start([node("vectors").embeds()]).await;
    // LangChain sends such arrays, cut with `cl100k_base`: " Hello" is 22691, "Hello" 9906.
    for (input, texts) in [
        (json!([9906, 11, 1917, 0]), vec!["Hello, world!"]),
        (json!([[9906], [22691, 0]]), vec!["Hello", " Hello!"]),
    ] {
        let reply = gateway.post(PATH, &json!({"model": "vectors", "input": input})).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let body = reply.json();
        let data = body["data"].as_array().unwrap();
        assert_eq!(data.len(), texts.len());
        for (entry, text) in data.iter().zip(texts) {
            assert!(close(&numbers(entry), &direction(text)), "{entry}");
        }
    }
}

#[tokio::test]
async fn base64_and_numbers_are_the_same_vector() {
    let gateway = Gateway::start([node("vectors").embeds()]).await;
    let body = json!({"model": "vectors", "input": "abc", "encoding_format": "base64"});
    let reply = gateway.post(PATH, &body).await.json();
    let text = reply["data"][0]["embedding"].as_str().unwrap();
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    let floats = bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
    assert!(close(&floats.map(f64::from).collect::<Vec<_>>(), &direction("abc")));
}

#[tokio::test]
async fn fewer_dimensions_are_the_first_ones_brought_back_to_length_1() {
    let gateway = Gateway::start([node("vectors").embeds()]).await;
    let mut ask = json!({"model": "vectors", "input": ["abc"], "dimensions": 2});
    let body = gateway.post(PATH, &ask).await.json();
    let norm = 10_f64.sqrt();
    assert!(close(&numbers(&body["data"][0]), &[3.0 / norm, 1.0 / norm]));
    ask["dimensions"] = json!(4);
    let reply = gateway.post(PATH, &ask).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["error"]["param"], "dimensions");
    assert!(reply.text().contains("<= 3"), "{}", reply.text());
}

#[tokio::test]
async fn what_cannot_be_embedded_is_named() {
    let gateway = Gateway::start([node("vectors").embeds(), node("words").says("x")]).await;
    let cases = [
        (json!({"model": "vectors"}), 400, json!("input"), json!("missing_required_parameter")),
        (json!({"input": "x"}), 400, Value::Null, Value::Null),
        (json!({"model": "vectors", "input": []}), 400, json!("input"), json!("empty_array")),
        (json!({"model": "vectors", "input": ""}), 400, json!("input"), Value::Null),
        (json!({"model": "vectors", "input": ["a", ""]}), 400, json!("input"), Value::Null),
        (
            json!({"model": "vectors", "input": [1, 100_300]}),
            400,
            json!("input[1]"),
            json!("invalid_value"),
        ),
        (
            json!({"model": "vectors", "input": [[1], [-1]]}),
            400,
            json!("input[1][0]"),
            json!("invalid_value"),
        ),
        (
            json!({"model": "vectors", "input": [[1], []]}),
            400,
            json!("input[1]"),
            json!("empty_array"),
        ),
        (
            json!({"model": "vectors", "input": ["a", true]}),
            400,
            json!("input[1]"),
            json!("invalid_type"),
        ),
        (
            json!({"model": "vectors", "input": vec!["x"; 2049]}),
            400,
            json!("input"),
            json!("array_above_max_length"),
        ),
        (
            json!({"model": "vectors", "input": "x", "dimensions": 0}),
            400,
            json!("dimensions"),
            json!("integer_below_min_value"),
        ),
        (
            json!({"model": "vectors", "input": "x", "encoding_format": "hex"}),
            400,
            json!("encoding_format"),
            json!("invalid_value"),
        ),
        (json!({"model": "words", "input": "x"}), 400, json!("model"), json!("unsupported_value")),
        (json!({"model": "gone", "input": "x"}), 404, Value::Null, json!("model_not_found")),
    ];
    for (body, status, param, code) in cases {
        let reply = gateway.post(PATH, &body).await;
        let error = &reply.json()["error"];
        assert_eq!(
            (reply.status, &error["param"], &error["code"]),
            (status, &param, &code),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_swarm_of_writers_says_that_nobody_embeds() {
    let gateway = Gateway::start([node("words").says("x")]).await;
    let reply = gateway.post(PATH, &json!({"model": "shoal", "input": "x"})).await;
    assert_eq!(reply.status, 400);
    assert!(
        reply.text().contains("no member here can turn texts into vectors"),
        "{}",
        reply.text()
    );
}
