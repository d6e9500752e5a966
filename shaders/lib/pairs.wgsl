// Broadcasting by strides: where an element of the output has its two elements among what is read.
//
// Constants: RANK, the axes that are walked; axis 0 is the innermost. A stride of 0 repeats.

/// What is left of an invocation's number behind the axes walked so far, and where those led on either side.
struct Place {
    rest: u32,
    left: u32,
    right: u32,
}

/// Walks axis number `i`.
fn along(i: u32, extent: u32, left_stride: u32, right_stride: u32, place: Place) -> Place {
    if i >= RANK {
        return place;
    }
    var c = place.rest;
    if i + 1u < RANK {
        c = place.rest % extent;
    }
    return Place(place.rest / extent, place.left + c * left_stride, place.right + c * right_stride);
}

/// Where the elements of number `item` of the output lie.
fn place_of(item: u32) -> Place {
    var place = Place(item, 0u, 0u);
    place = along(0u, params.extent_0, params.left_0, params.right_0, place);
    place = along(1u, params.extent_1, params.left_1, params.right_1, place);
    place = along(2u, params.extent_2, params.left_2, params.right_2, place);
    place = along(3u, params.extent_3, params.left_3, params.right_3, place);
    place = along(4u, params.extent_4, params.left_4, params.right_4, place);
    place = along(5u, params.extent_5, params.left_5, params.right_5, place);
    return place;
}
