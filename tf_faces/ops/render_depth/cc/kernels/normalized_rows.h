// Rows of channels, less the mean and divided by the deviation of each channel.

#ifndef TF_FACES_OPS_NORMALIZED_ROWS_H_
#define TF_FACES_OPS_NORMALIZED_ROWS_H_

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace tf_faces {
namespace normalized_rows {

// Where NumPy stops to halve a sum.
constexpr int64_t kBlock = 128;
constexpr int64_t kLanes = 8;
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float))));

inline Lanes Load(const float* numbers) {
  Lanes lanes;
  std::memcpy(&lanes, numbers, sizeof(lanes));
  return lanes;
}

inline void Store(const Lanes& lanes, float* numbers) {
  std::memcpy(numbers, &lanes, sizeof(lanes));
}

// Sum in the order of NumPy, so that no digit differs: eight running sums, added in
// pairs, then what is left over.
inline float Sum(const float* numbers, int64_t count) {
  if (count > kBlock) {
    const int64_t half = count / 2 - count / 2 % kLanes;
    return Sum(numbers, half) + Sum(numbers + half, count - half);
  }
  float total = 0;
  int64_t i = 0;
  if (count >= kLanes) {
    Lanes sums = Load(numbers);
    for (i = kLanes; i + kLanes <= count; i += kLanes) sums += Load(numbers + i);
    total = ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
            ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  }
  for (; i < count; ++i) total += numbers[i];
  return total;
}

// target = source - offset; both may be one.
inline void Subtract(const float* source, float offset, int64_t count, float* target) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) Store(Load(source + i) - offset, target + i);
  for (; i < count; ++i) target[i] = source[i] - offset;
}

// target = (source - offset)^2.
inline void SquareOfRest(const float* source, float offset, int64_t count,
                         float* target) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Lanes rest = Load(source + i) - offset;
    Store(rest * rest, target + i);
  }
  for (; i < count; ++i) target[i] = (source[i] - offset) * (source[i] - offset);
}

inline void Divide(float divisor, int64_t count, float* numbers) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Store(Load(numbers + i) / divisor, numbers + i);
  }
  for (; i < count; ++i) numbers[i] /= divisor;
}

// Normalises `rows` [R][channels * places] into `target`, as NumPy's mean and deviation
// in single precision do.  A channel without any variation becomes zero.
//
// share(function): calls function(first, end) for all rows, in parts, at once or in
// turn.
template <typename Share>
void Normalize(const std::vector<const float*>& rows, int64_t channels, int64_t places,
               const Share& share, float* target) {
  const int64_t count = rows.size(), size = channels * places;
  std::vector<float> sums(count * channels), mean(channels), rest(channels),
      divisor(channels);
  // The rows' sums are added one after the other, whoever found them; those of a single
  // channel lie together, and NumPy adds them as it adds what lies in a row.
  const auto mean_of_sums = [&](std::vector<float>* found) {
    std::vector<float> totals(channels, 0);
    if (channels == 1) {
      totals[0] = Sum(sums.data(), count);
    } else {
      for (int64_t row = 0; row < count; ++row) {
        for (int64_t c = 0; c < channels; ++c) totals[c] += sums[row * channels + c];
      }
    }
    const float number = static_cast<float>(count * places);
    for (int64_t c = 0; c < channels; ++c) (*found)[c] = totals[c] / number;
  };
  share([&](int64_t row, int64_t end) {
    for (; row < end; ++row) {
      for (int64_t c = 0; c < channels; ++c) {
        sums[row * channels + c] = Sum(rows[row] + c * places, places);
      }
    }
  });
  mean_of_sums(&mean);
  share([&](int64_t row, int64_t end) {
    for (; row < end; ++row) {
      for (int64_t c = 0; c < channels; ++c) {
        float* found = target + row * size + c * places;
        Subtract(rows[row] + c * places, mean[c], places, found);
        sums[row * channels + c] = Sum(found, places);
      }
    }
  });
  mean_of_sums(&rest);
  share([&](int64_t row, int64_t end) {
    std::vector<float> squares(places);
    for (; row < end; ++row) {
      for (int64_t c = 0; c < channels; ++c) {
        SquareOfRest(target + row * size + c * places, rest[c], places, squares.data());
        sums[row * channels + c] = Sum(squares.data(), places);
      }
    }
  });
  mean_of_sums(&divisor);
  for (float& number : divisor) {
    number = std::sqrt(number);
    if (!(number > 0)) number = 1;
  }
  share([&](int64_t row, int64_t end) {
    for (; row < end; ++row) {
      for (int64_t c = 0; c < channels; ++c) {
        Divide(divisor[c], places, target + row * size + c * places);
      }
    }
  });
}

}  // namespace normalized_rows
}  // namespace tf_faces

#endif  // TF_FACES_OPS_NORMALIZED_ROWS_H_
