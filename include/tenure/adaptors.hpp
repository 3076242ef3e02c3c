// All adaptors of resources; each has a header of its own in <tenure/adaptor/>.
#pragma once

#include <tenure/adaptor/aligned_resource_adaptor.hpp>
#include <tenure/adaptor/copy_detecting_resource_adaptor.hpp>
#include <tenure/adaptor/failure_injecting_resource_adaptor.hpp>
#include <tenure/adaptor/fallback_resource_adaptor.hpp>
#include <tenure/adaptor/limiting_resource_adaptor.hpp>
#include <tenure/adaptor/logging_resource_adaptor.hpp>
#include <tenure/adaptor/resource_adaptor.hpp>
#include <tenure/adaptor/statistics_resource_adaptor.hpp>
#include <tenure/adaptor/synchronized_resource_adaptor.hpp>
#include <tenure/adaptor/tracking_resource_adaptor.hpp>
