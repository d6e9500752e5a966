// The convolution for processors that act as GPUs: implicit GEMM without barriers or workgroup memory, a register tile
// spread over the lanes of a subgroup.
//
// Convolution as an implicit matrix product, one tile per subgroup, operands shared by broadcast:
//
//   output[p, f] = activate(bias[f] + sum over taps, j of input[pixel p at tap, g·group_in + j] · kernel[tap, j, f])
//
// A subgroup owns SLOTS·SUBGROUP pixels and VECTORS·SUBGROUP vectors of four output channels. Lane l loads pixel l of
// each slot and every SUBGROUP-th vector of the kernel, so no value is loaded twice; the pixel's values then go to all
// lanes by subgroupBroadcast, and each lane multiplies them with its own channels. Taps outside the input are zero.
//
// For adapters on which a broadcast is a register move while every load is a gather, as on a CPU. The lines of the
// lanes are spelled out because an array indexed by a loop would leave the registers there.
//
// A sum is one chain: a second sum for each would be as many registers again, and drivers for processors then compile for up
// to eight seconds.
//
// Constants: SUBGROUP is 4 or 8 and the adapter's only subgroup size; SLOTS is 1, 2 or 4; VECTORS is 1 or 2; QUAD is
// whether quadBroadcast is the cheaper one, for four lanes.
// Memory, for each four input channels of a tap: SLOTS + 4·VECTORS loads of a vec4 per lane for
// 16·SLOTS·SUBGROUP·VECTORS multiply-adds. The kernel is packed: channels of a group in fours on either side.

@group(0) @binding(0) var<uniform> params: Params;

const_assert SUBGROUP == 4u || SUBGROUP == 8u;
const_assert !QUAD || SUBGROUP == 4u;
const_assert SLOTS == 1u || SLOTS == 2u || SLOTS == 4u;
const_assert VECTORS == 1u || VECTORS == 2u;

/// The sums of four lanes' pixels of a slot with this lane's channels: pixel q, vector v at 2·q + v.
alias Quad = array<vec4<f32>, 8>;

/// Adds the products of four pixels with this lane's channels.
fn accumulate(quad: ptr<function, Quad>, pixels: Rows, first: Rows, second: Rows) {
    (*quad)[0] = multiply_add((*quad)[0], pixels.x, first);
    (*quad)[2] = multiply_add((*quad)[2], pixels.y, first);
    (*quad)[4] = multiply_add((*quad)[4], pixels.z, first);
    (*quad)[6] = multiply_add((*quad)[6], pixels.w, first);
    if VECTORS == 2u {
        (*quad)[1] = multiply_add((*quad)[1], pixels.x, second);
        (*quad)[3] = multiply_add((*quad)[3], pixels.y, second);
        (*quad)[5] = multiply_add((*quad)[5], pixels.z, second);
        (*quad)[7] = multiply_add((*quad)[7], pixels.w, second);
    }
}

/// What lanes 0 to 3 hold.
fn low(four: vec4<f32>) -> Rows {
    if QUAD {
        return Rows(
            quadBroadcast(four, 0u), quadBroadcast(four, 1u), quadBroadcast(four, 2u), quadBroadcast(four, 3u)
        );
    }
    return Rows(
        subgroupBroadcast(four, 0u),
        subgroupBroadcast(four, 1u),
        subgroupBroadcast(four, 2u),
        subgroupBroadcast(four, 3u),
    );
}

/// What lanes 4 to 7 hold.
fn high(four: vec4<f32>) -> Rows {
    return Rows(
        subgroupBroadcast(four, 4u),
        subgroupBroadcast(four, 5u),
        subgroupBroadcast(four, 6u),
        subgroupBroadcast(four, 7u),
    );
}

/// Adds what a slot's pixels contribute for four input channels.
fn accumulate_slot(lower: ptr<function, Quad>, upper: ptr<function, Quad>, four: vec4<f32>, first: Rows, second: Rows) {
    accumulate(lower, low(four), first, second);
    if SUBGROUP == 8u {
        accumulate(upper, high(four), first, second);
    }
}

fn finish(pixel: u32, place: u32, group: u32, vector: u32, sum: vec4<f32>) {
    if pixel < pixel_count() && vector < group_vectors() {
        finish_four(place, group * params.group_out + vector * 4u, sum);
    }
}

/// Finishes the sums of four pixels, the first of which is `pixel`, at `places`.
fn finish_quad(quad: ptr<function, Quad>, pixel: u32, places: vec4<u32>, group: u32, vector: u32) {
    finish(pixel, places.x, group, vector, (*quad)[0]);
    finish(pixel + 1u, places.y, group, vector, (*quad)[2]);
    finish(pixel + 2u, places.z, group, vector, (*quad)[4]);
    finish(pixel + 3u, places.w, group, vector, (*quad)[6]);
    if VECTORS == 2u {
        finish(pixel, places.x, group, vector + SUBGROUP, (*quad)[1]);
        finish(pixel + 1u, places.y, group, vector + SUBGROUP, (*quad)[3]);
        finish(pixel + 2u, places.z, group, vector + SUBGROUP, (*quad)[5]);
        finish(pixel + 3u, places.w, group, vector + SUBGROUP, (*quad)[7]);
    }
}

/// Four lanes' pixels make a quad.
const QUADS: u32 = SUBGROUP / 4u;

/// Where the sums of a slot's pixels go, of the slot's first and second four. Each lane finds the place of its own pixel, as
/// divisions are slow.
struct Places {
    lower: vec4<u32>,
    upper: vec4<u32>,
}

fn places_of(pixel: u32, group: u32) -> Places {
    let place = pixel_place(pixel, group);
    var places: Places;
    places.lower = vec4(
        subgroupBroadcast(place, 0u),
        subgroupBroadcast(place, 1u),
        subgroupBroadcast(place, 2u),
        subgroupBroadcast(place, 3u),
    );
    if SUBGROUP == 8u {
        places.upper = vec4(
            subgroupBroadcast(place, 4u),
            subgroupBroadcast(place, 5u),
            subgroupBroadcast(place, 6u),
            subgroupBroadcast(place, 7u),
        );
    }
    return places;
}

@compute @workgroup_size(SUBGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let tile = workgroup_index(workgroup, workgroups);
    if tile >= params.items {
        return;
    }
    let pixel_tiles = (pixel_count() + SLOTS * SUBGROUP - 1u) / (SLOTS * SUBGROUP);
    let vector_tiles = (group_vectors() + VECTORS * SUBGROUP - 1u) / (VECTORS * SUBGROUP);
    let pixel = tile % pixel_tiles * SLOTS * SUBGROUP;
    let group = tile / pixel_tiles / vector_tiles;
    let vector = tile / pixel_tiles % vector_tiles * VECTORS * SUBGROUP + lane;
    let first_vector = group * group_vectors() + min(vector, group_vectors() - 1u);
    let second_vector = group * group_vectors() + min(vector + SUBGROUP, group_vectors() - 1u);
    let first_channel = first_channel_of(group);

    let window_0 = window_of(pixel + lane, group);
    let window_1 = window_of(pixel + SUBGROUP + lane, group);
    let window_2 = window_of(pixel + 2u * SUBGROUP + lane, group);
    let window_3 = window_of(pixel + 3u * SUBGROUP + lane, group);
    let first_bias = bias_of_four(channel_of(first_vector, group));
    var second_bias = first_bias;
    if VECTORS == 2u {
        second_bias = bias_of_four(channel_of(second_vector, group));
    }
    let start = Quad(
        first_bias, second_bias, first_bias, second_bias, first_bias, second_bias, first_bias, second_bias
    );
    var lower_0 = start; var upper_0 = start;
    var lower_1 = start; var upper_1 = start;
    var lower_2 = start; var upper_2 = start;
    var lower_3 = start; var upper_3 = start;
    // The rows of the kernel, one tap's after the other's.
    let stride = row_stride();
    var row = 0u;
    for (var k = 0u; k < KERNEL_ROWS; k++) {
        for (var kx = 0u; kx < KERNEL_W; kx++) {
            let pixel_0 = pixel_of(window_0, k, kx);
            let pixel_1 = pixel_of(window_1, k, kx);
            let pixel_2 = pixel_of(window_2, k, kx);
            let pixel_3 = pixel_of(window_3, k, kx);
            for (var j = 0u; j < params.group_in; j += 4u) {
                let first = rows_from(row + first_vector, stride);
                var second = first;
                if VECTORS == 2u {
                    second = rows_from(row + second_vector, stride);
                }
                accumulate_slot(&lower_0, &upper_0, pixel_four(pixel_0, first_channel + j), first, second);
                if SLOTS >= 2u {
                    accumulate_slot(&lower_1, &upper_1, pixel_four(pixel_1, first_channel + j), first, second);
                }
                if SLOTS == 4u {
                    accumulate_slot(&lower_2, &upper_2, pixel_four(pixel_2, first_channel + j), first, second);
                    accumulate_slot(&lower_3, &upper_3, pixel_four(pixel_3, first_channel + j), first, second);
                }
                row += 4u * stride;
            }
        }
    }
    var places_0 = places_of(pixel + lane, group);
    var places_1 = places_0;
    var places_2 = places_0;
    var places_3 = places_0;
    if SLOTS >= 2u {
        places_1 = places_of(pixel + SUBGROUP + lane, group);
    }
    if SLOTS == 4u {
        places_2 = places_of(pixel + 2u * SUBGROUP + lane, group);
        places_3 = places_of(pixel + 3u * SUBGROUP + lane, group);
    }
    // One quad after another moves to the front and is finished there: activation and store stand here once for a quad's sums, where
    // they would take long to compile for every sum, and longer still for sums in an array indexed by the loop.
    for (var quad = 0u; quad < QUADS * SLOTS; quad++) {
        finish_quad(&lower_0, pixel + quad * 4u, places_0.lower, group, vector);
        if SUBGROUP == 8u && (quad & 1u) == 0u {
            lower_0 = upper_0;
            places_0.lower = places_0.upper;
        } else {
            lower_0 = lower_1; upper_0 = upper_1; places_0 = places_1;
            lower_1 = lower_2; upper_1 = upper_2; places_1 = places_2;
            lower_2 = lower_3; upper_2 = upper_3; places_2 = places_3;
        }
    }
}
