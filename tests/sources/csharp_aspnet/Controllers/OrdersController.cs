using Microsoft.AspNetCore.Mvc;
using Shop.Services;

namespace Shop.Controllers;

[ApiController]
[Route("api/[controller]")]
public class OrdersController : ControllerBase
{
    private readonly IOrderService _orders;

    public OrdersController(IOrderService orders)
    {
        _orders = orders;
    }

    [HttpGet("{id}")]
    public async Task<Order> Get(int id)
    {
        return await _orders.LoadAsync(id);
    }
}
