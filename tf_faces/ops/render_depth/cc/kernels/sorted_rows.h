// Distance of two lists of numbers in sorted order, mostly without sorting them.

#ifndef TF_FACES_OPS_SORTED_ROWS_H_
#define TF_FACES_OPS_SORTED_ROWS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

namespace tf_faces {
namespace sorted_rows {

// Digits of eleven bits: three passes over a key, counters that stay in the cache.
constexpr int kBits = 11;
constexpr int kPasses = 3;
constexpr uint32_t kDigits = 1u << kBits;

// Keys order as their numbers do: negative ones are turned over.
inline uint32_t KeyOf(float number) {
  uint32_t bits;
  std::memcpy(&bits, &number, sizeof(bits));
  return bits ^ ((bits >> 31) ? 0xffffffffu : 0x80000000u);
}

inline float NumberOf(uint32_t key) {
  const uint32_t bits = key ^ ((key >> 31) ? 0x80000000u : 0xffffffffu);
  float number;
  std::memcpy(&number, &bits, sizeof(number));
  return number;
}

// The same as numbers with a sign, whose least and largest are found several at once.
inline int32_t OrderOf(float number) {
  int32_t bits;
  std::memcpy(&bits, &number, sizeof(bits));
  return bits ^ ((bits >> 31) & 0x7fffffff);
}

inline float NumberAt(int32_t order) {
  order ^= (order >> 31) & 0x7fffffff;
  float number;
  std::memcpy(&number, &order, sizeof(number));
  return number;
}

inline uint32_t DigitOf(uint32_t key, int pass) {
  return (key >> (pass * kBits)) & (kDigits - 1);
}

// Radix sort of `count` numbers, fewer than 2^32, into `keys`; `scratch` is as long.
inline void Sort(const float* numbers, int64_t count, uint32_t* keys,
                 uint32_t* scratch) {
  std::vector<uint32_t> places(kPasses * kDigits, 0);
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t key = KeyOf(numbers[i]);
    scratch[i] = key;
    for (int pass = 0; pass < kPasses; ++pass) {
      ++places[pass * kDigits + DigitOf(key, pass)];
    }
  }
  // An odd number of passes leads from `scratch` to `keys`.
  static_assert(kPasses % 2 == 1, "the sorted keys would be in scratch");
  uint32_t *from = scratch, *to = keys;
  for (int pass = 0; pass < kPasses; ++pass) {
    uint32_t* next = places.data() + pass * kDigits;
    uint32_t start = 0;
    for (uint32_t digit = 0; digit < kDigits; ++digit) {
      start += std::exchange(next[digit], start);
    }
    for (int64_t i = 0; i < count; ++i) {
      const uint32_t key = from[i];
      to[next[DigitOf(key, pass)]++] = key;
    }
    std::swap(from, to);
  }
}

// Parts that the numbers' range is cut into; the more, the fewer numbers are sorted, and
// the less of their sums stays in a cache.
constexpr int kParts = 6144;

// What the comparison of rows needs beside the numbers; made once for many rows.
struct Space {
  explicit Space(int64_t count)
      : left(count),
        right(count),
        scratch(count),
        kept(count),
        left_chosen(count),
        right_chosen(count) {}

  std::vector<uint32_t> left, right, scratch;
  std::vector<float> kept, left_chosen, right_chosen;
};

// Sorts both, and sums the differences of what is at equal places.
inline double DistanceBySorting(const float* first, const float* second, int64_t count,
                                Space* space) {
  uint32_t *left = space->left.data(), *right = space->right.data();
  Sort(first, count, left, space->scratch.data());
  Sort(second, count, right, space->scratch.data());
  double total = 0;
  for (int64_t i = 0; i < count; ++i) {
    total += std::fabs(NumberOf(left[i]) - NumberOf(right[i]));
  }
  return total;
}

// Sum of the differences of what is at equal places in sorted order.
//
// It is the area between the two staircases that count the numbers below x.  Where one
// lies above the other throughout a part of the range, the area follows from how many
// numbers there are and from their sums; only of parts in which the staircases may cross
// are the numbers sorted.
inline double Distance(const float* first, const float* second, int64_t count,
                       Space* space) {
  int32_t least = std::numeric_limits<int32_t>::max(), most = ~least;
  for (int64_t i = 0; i < count; ++i) {
    const int32_t one = OrderOf(first[i]), other = OrderOf(second[i]);
    least = std::min(least, std::min(one, other));
    most = std::max(most, std::max(one, other));
  }
  const float low = NumberAt(least);
  const float scale = (kParts - 1) / (NumberAt(most) - low);
  // Also true of infinities, of what is no number, of equal and of no numbers.
  if (!(scale > 0 && scale <= std::numeric_limits<float>::max())) {
    return DistanceBySorting(first, second, count, space);
  }
  const auto part_of = [low, scale](float number) {
    return static_cast<int32_t>((number - low) * scale);
  };
  int32_t firsts[kParts] = {}, seconds[kParts] = {};
  double sums[kParts] = {};
  for (int64_t i = 0; i < count; ++i) {
    const float one = first[i], other = second[i];
    const int32_t part = part_of(one), other_part = part_of(other);
    ++firsts[part];
    sums[part] += one;
    ++seconds[other_part];
    sums[other_part] -= other;
  }

  double total = 0;
  int64_t above = 0;  // by how many steps the first staircase lies above the second
  const double width = 1.0 / scale;
  // Where the chosen numbers of a part begin.
  int32_t starts[kParts], other_starts[kParts];
  bool crossing[kParts];
  int32_t chosen = 0, other_chosen = 0;
  for (int32_t part = 0; part < kParts; ++part) {
    starts[part] = chosen;
    other_starts[part] = other_chosen;
    const bool stays_above = above >= seconds[part];
    const bool stays_below = above <= -firsts[part];
    crossing[part] = !(stays_above | stays_below);
    chosen += crossing[part] ? firsts[part] : 0;
    other_chosen += crossing[part] ? seconds[part] : 0;
    const int64_t rises = firsts[part] - seconds[part];
    const double area =
        above * width + rises * (low + (part + 1) * width) - sums[part];
    total += crossing[part] ? 0.0 : stays_above ? area : -area;
    above += rises;
  }
  if (chosen + other_chosen == 0) return total;

  const auto choose = [&](const float* numbers, int32_t* places, float* found) {
    float* kept = space->kept.data();
    int64_t number = 0;
    for (int64_t i = 0; i < count; ++i) {
      kept[number] = numbers[i];
      number += crossing[part_of(numbers[i])];  // a branch would be guessed wrong
    }
    for (int64_t i = 0; i < number; ++i) found[places[part_of(kept[i])]++] = kept[i];
  };
  float *one = space->left_chosen.data(), *other = space->right_chosen.data();
  choose(first, starts, one);
  choose(second, other_starts, other);
  above = 0;
  for (int32_t part = 0; part < kParts; ++part) {
    if (!crossing[part]) {
      above += firsts[part] - seconds[part];
      continue;
    }
    float *one_end = one + firsts[part], *other_end = other + seconds[part];
    std::sort(one, one_end);
    std::sort(other, other_end);
    double place = low + part * width;
    const auto step_to = [&](double next) {
      total += std::fabs(static_cast<double>(above)) * (next - place);
      place = next;
    };
    while (one < one_end || other < other_end) {
      if (other == other_end || (one < one_end && *one <= *other)) {
        step_to(*one++);
        ++above;
      } else {
        step_to(*other++);
        --above;
      }
    }
    step_to(low + (part + 1) * width);
  }
  return total;
}

}  // namespace sorted_rows
}  // namespace tf_faces

#endif  // TF_FACES_OPS_SORTED_ROWS_H_
