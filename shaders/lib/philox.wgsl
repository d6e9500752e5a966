// For noise.wgsl and what else draws at random.
//
// Philox 4×32 with 10 rounds, a counter-based generator of random numbers (Salmon, Moraes, Dror and Shaw, Parallel Random
// Numbers: As Easy as 1, 2, 3, SC 2011): four words are a function of a counter of four words and a key of two. There is no
// state, so that every invocation draws by itself; all arithmetic is of integers, so that the bits are the same on every
// device.

/// The low and the high word of `a`·`b`.
fn product_of_words(a: u32, b: u32) -> vec2<u32> {
    let a_low = a & 0xffffu;
    let a_high = a >> 16u;
    let b_low = b & 0xffffu;
    let b_high = b >> 16u;
    let low = a_low * b_low;
    // Neither sum exceeds a word: (2¹⁶ − 1)² + 2·(2¹⁶ − 1) is the largest.
    let middle = a_high * b_low + (low >> 16u);
    let other = a_low * b_high + (middle & 0xffffu);
    return vec2(a * b, a_high * b_high + (middle >> 16u) + (other >> 16u));
}

fn philox(start: vec4<u32>, seed: vec2<u32>) -> vec4<u32> {
    var counter = start;
    var key = seed;
    for (var round = 0u; round < 10u; round++) {
        let first = product_of_words(0xd2511f53u, counter.x);
        let second = product_of_words(0xcd9e8d57u, counter.z);
        counter = vec4(second.y ^ counter.y ^ key.x, second.x, first.y ^ counter.w ^ key.y, first.x);
        key += vec2(0x9e3779b9u, 0xbb67ae85u);
    }
    return counter;
}
