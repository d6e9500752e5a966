// What comes back through the transforms of winograd_2_3.wgsl: the same sums the other way (transposed matrices).
//
// Winograd's F(2×2, 3×3), one dimension at a time: from what comes back to two outputs to that of four products, and from that of a
// transformed kernel of four to its three taps.
//
// Constants: TILE, outputs of a tile along one axis, is 2; TAPS, those of a kernel, is 3; EDGE, a tile's products, is 4.

alias Edge = array<vec4<f32>, EDGE>;
alias Taps = array<vec4<f32>, TAPS>;

fn back_to_products(y: array<vec4<f32>, TILE>) -> Edge {
    return Edge(y[0], y[0] + y[1], y[0] - y[1], y[1]);
}

fn back_to_kernel(m: Edge) -> Taps {
    let outer = 0.5 * (m[1] + m[2]);
    return Taps(outer - m[0], 0.5 * (m[1] - m[2]), outer + m[3]);
}
