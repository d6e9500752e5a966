// A Vulkan layer by which a program takes what it has submitted for done: a pretended GPU never says so, and whoever waits for
// it, as wgpu does by a timeline semaphore, would find that it has not come. It tells of every semaphore the greatest value
// that any submission was to give one.
#include <string.h>
#include <stdatomic.h>
#include <vulkan/vulkan.h>
#include <vulkan/vk_layer.h>

static PFN_vkGetInstanceProcAddr next_instance;
static PFN_vkGetDeviceProcAddr next_device;
static PFN_vkQueueSubmit queue_submit;
static _Atomic uint64_t submitted;

static VKAPI_ATTR VkResult VKAPI_CALL submit(VkQueue queue, uint32_t count, const VkSubmitInfo *infos, VkFence fence) {
    for (uint32_t i = 0; i < count; i++)
        for (const VkBaseInStructure *p = infos[i].pNext; p; p = p->pNext) {
            if (p->sType != VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO) continue;
            const VkTimelineSemaphoreSubmitInfo *values = (const VkTimelineSemaphoreSubmitInfo *)p;
            for (uint32_t s = 0; s < values->signalSemaphoreValueCount; s++)
                if (values->pSignalSemaphoreValues[s] > submitted) submitted = values->pSignalSemaphoreValues[s];
        }
    return queue_submit(queue, count, infos, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL counter(VkDevice device, VkSemaphore semaphore, uint64_t *value) {
    *value = submitted;
    return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_for(VkDevice device, const VkSemaphoreWaitInfo *info, uint64_t timeout) {
    return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL made_instance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *a, VkInstance *instance) {
    VkLayerInstanceCreateInfo *chain = (VkLayerInstanceCreateInfo *)info->pNext;
    while (chain && !(chain->sType == VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO && chain->function == VK_LAYER_LINK_INFO))
        chain = (VkLayerInstanceCreateInfo *)chain->pNext;
    if (!chain) return VK_ERROR_INITIALIZATION_FAILED;
    next_instance = chain->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    chain->u.pLayerInfo = chain->u.pLayerInfo->pNext;
    return ((PFN_vkCreateInstance)next_instance(NULL, "vkCreateInstance"))(info, a, instance);
}

static VKAPI_ATTR VkResult VKAPI_CALL made_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info, const VkAllocationCallbacks *a, VkDevice *device) {
    VkLayerDeviceCreateInfo *chain = (VkLayerDeviceCreateInfo *)info->pNext;
    while (chain && !(chain->sType == VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO && chain->function == VK_LAYER_LINK_INFO))
        chain = (VkLayerDeviceCreateInfo *)chain->pNext;
    if (!chain) return VK_ERROR_INITIALIZATION_FAILED;
    PFN_vkGetInstanceProcAddr instance = chain->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    next_device = chain->u.pLayerInfo->pfnNextGetDeviceProcAddr;
    chain->u.pLayerInfo = chain->u.pLayerInfo->pNext;
    VkResult result = ((PFN_vkCreateDevice)instance(NULL, "vkCreateDevice"))(physical, info, a, device);
    if (result == VK_SUCCESS) queue_submit = (PFN_vkQueueSubmit)next_device(*device, "vkQueueSubmit");
    return result;
}

static PFN_vkVoidFunction own(const char *name) {
    if (!strcmp(name, "vkQueueSubmit")) return (PFN_vkVoidFunction)submit;
    if (!strcmp(name, "vkGetSemaphoreCounterValue") || !strcmp(name, "vkGetSemaphoreCounterValueKHR"))
        return (PFN_vkVoidFunction)counter;
    if (!strcmp(name, "vkWaitSemaphores") || !strcmp(name, "vkWaitSemaphoresKHR")) return (PFN_vkVoidFunction)wait_for;
    return NULL;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL done_device(VkDevice device, const char *name) {
    if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)done_device;
    PFN_vkVoidFunction found = own(name);
    return found ? found : next_device(device, name);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL done_instance(VkInstance instance, const char *name) {
    if (!strcmp(name, "vkGetInstanceProcAddr")) return (PFN_vkVoidFunction)done_instance;
    if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)done_device;
    if (!strcmp(name, "vkCreateInstance")) return (PFN_vkVoidFunction)made_instance;
    if (!strcmp(name, "vkCreateDevice")) return (PFN_vkVoidFunction)made_device;
    PFN_vkVoidFunction found = own(name);
    return found ? found : next_instance ? next_instance(instance, name) : NULL;
}
